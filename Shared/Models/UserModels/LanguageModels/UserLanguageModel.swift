public import ModelFiles
public import NeuralNetwork
package import Tensors

/// A language model that reads a user's timeline: encoder, Perceiver, projection, cross-attention and language model.
///
/// One pass of the causal encoder serves all prefixes of a timeline, so many questions about one timeline cost little
/// more than one.
///
/// Shapes: `B` timelines of `L` positions, `Q` questions of `T` tokens, `K` context rows, `D` language-model width.
/// - Source: User-LLM, arXiv 2402.13598.
public final class UserLanguageModel: WeightedModel, Sendable {
    /// The shapes of all parts, for checkpoints.
    public struct Configuration: Codable, Sendable, Equatable {
        /// The encoder's configuration.
        public var encoder: AutoregressiveEncoder.Configuration
        /// The adapter's configuration.
        public var adapter: UserAdapter.Configuration
        /// The language model's configuration.
        public var languageModel: LanguageModelConfiguration

        /// Combines the configurations of three parts.
        public init(
            encoder: AutoregressiveEncoder.Configuration,
            adapter: UserAdapter.Configuration,
            languageModel: LanguageModelConfiguration
        ) {
            self.encoder = encoder
            self.adapter = adapter
            self.languageModel = languageModel
        }

        /// Throws when the adapter was made for parts of another shape.
        func requireFit() throws(ModelConfigurationError) {
            try require(
                "adapter.perceiver.width",
                adapter.perceiver.width,
                adapter.perceiver.width == encoder.width,
                "the encoder's width \(encoder.width)"
            )
            try require(
                "adapter.languageModelWidth",
                adapter.languageModelWidth,
                adapter.languageModelWidth == languageModel.width,
                "the language model's width \(languageModel.width)"
            )
            try require(
                "adapter.languageModelLayers",
                adapter.languageModelLayers,
                adapter.languageModelLayers == languageModel.layers,
                "the language model's \(languageModel.layers) blocks"
            )
        }
    }

    /// Which parts are trained.
    public enum Strategy: String, Codable, Sendable, CaseIterable {
        /// Everything.
        case full
        /// Encoder, adapter and low-rank updates of the language model, whose own weights are frozen.
        case lora
        /// Encoder and adapter; the language model is frozen.
        case enc
        /// The adapter; encoder and language model are frozen.
        case proj
    }

    /// Weights of the terms of the loss.
    public struct LossWeights: Codable, Sendable, Equatable {
        /// Questions whose answer is chosen from titles, categories or both; per question.
        public var knownAnswers: Float = 1
        /// Plain language modelling over the whole vocabulary; per token.
        public var vocabulary: Float = 0.2
        /// Texts that users wrote; per token.
        public var text: Float = 1
        /// The encoder's own next-event loss; per event; 0 disables it.
        public var nextEvent: Float = 0
        /// Share of the encoder's own predictions in the target of questions that ask for the next item, 0 to 1.
        ///
        /// Useful once the encoder is trained; then keep `nextEvent` above 0 or freeze the encoder, so that it does not
        /// forget what it teaches. The encoder gets no gradient from its role as a teacher.
        public var encoderGuidance: Float = 0

        /// The defaults.
        public init() {}
    }

    /// The divisors of the sums over a step's shards.
    public struct Counts: Sendable, Equatable {
        /// Questions whose answer is chosen from a tree.
        public var knownAnswers = 0
        /// Target tokens of questions about the catalogue, learnt over the whole vocabulary.
        public var vocabularyTokens = 0
        /// Target tokens of texts that users wrote.
        public var textTokens = 0
        /// Events with a next event.
        public var nextEvents = 0

        /// Counts over all shards of a step.
        public init(_ batches: [UserQuestionBatch]) {
            for batch in batches {
                nextEvents += batch.timelines.targetCount
                for question in batch.questions {
                    switch question.choice {
                    case .vocabulary: vocabularyTokens += question.targets.count
                    case .text: textTokens += question.targets.count
                    case .title, .category, .known: knownAnswers += 1
                    }
                }
            }
        }
    }

    /// The loss of a shard and its terms.
    public struct Loss {
        /// The weighted sum to minimize.
        public let total: Variable
        /// Each term before weighting, divided by the step's counts: `title`, `category`, `known`, `vocabulary`,
        /// `text`, `next-event`.
        public let parts: [(name: String, value: Variable)]
    }

    /// Parameters that share a learning rate scale.
    public struct ParameterGroup: Sendable {
        /// The parameters, all of them trainable.
        public let parameters: [Parameter]
        /// Factor on the learning rate.
        public let learningRateScale: Float
        /// Whether weight decay applies: not to norms, biases, tables and gates.
        public let decays: Bool
    }

    /// Reads timelines.
    public let encoder: AutoregressiveEncoder
    /// Turns encoded timelines into the language model's input.
    public let adapter: UserAdapter
    /// Generates the answers.
    public let languageModel: LanguageModel
    let shared: SharedStates

    /// Every weight of the encoder, the adapter and the language model with its low-rank updates; names are unique.
    public var parameters: [Parameter] { encoder.parameters + adapter.parameters + languageModel.parameters + updates }

    /// The language model's low-rank updates.
    private var updates: [Parameter] { languageModel.lowRank?.parameters ?? [] }

    /// The shapes of all parts.
    public var configuration: Configuration {
        Configuration(
            encoder: encoder.configuration,
            adapter: adapter.configuration,
            languageModel: languageModel.configuration
        )
    }

    /// Makes all parts whose weights come from `weights`.
    package convenience init(
        configuration: Configuration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.requireFit()
        try self.init(
            encoder: AutoregressiveEncoder(configuration: configuration.encoder, weights: &weights),
            adapter: UserAdapter(configuration: configuration.adapter, weights: &weights),
            languageModel: LanguageModel(configuration: configuration.languageModel, weights: &weights)
        )
    }

    /// Makes encoder, adapter and low-rank updates from the weights in a file, beside a language model whose own weights are
    /// elsewhere.
    ///
    /// - Parameters:
    ///   - configuration: the shapes of all parts.
    ///   - lowRank: the shape of the language model's updates; nil for none.
    ///   - file: the weights.
    ///   - languageModel: the language model, without updates.
    /// - Throws: `ModelConfigurationError` when the parts do not fit together, or `SafeTensorsError` naming the weight that
    ///   is missing, unexpected, of another shape or not finite.
    package convenience init(
        configuration: Configuration,
        lowRank: LowRankAdapter.Configuration?,
        weights file: SafeTensors,
        languageModel: LanguageModel
    ) throws {
        try configuration.requireFit()
        func parts<Source: WeightSource>(
            _ weights: inout Source
        ) throws(ModelConfigurationError) -> (AutoregressiveEncoder, UserAdapter, LowRankAdapter?) {
            let encoder = try AutoregressiveEncoder(configuration: configuration.encoder, weights: &weights)
            let adapter = try UserAdapter(configuration: configuration.adapter, weights: &weights)
            guard let lowRank else { return (encoder, adapter, nil) }
            let base = configuration.languageModel
            return (encoder, adapter, try LowRankAdapter(configuration: lowRank, base: base, weights: &weights))
        }
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in _ = try parts(&declared) }
        let (encoder, adapter, updates) = try parts(&stored)
        try stored.finish()
        let updated = try updates.map { try languageModel.adding($0) } ?? languageModel
        try self.init(encoder: encoder, adapter: adapter, languageModel: updated)
    }

    /// Combines three parts.
    ///
    /// - Throws: `ModelConfigurationError` when the adapter was made for parts of another shape.
    public init(
        encoder: AutoregressiveEncoder,
        adapter: UserAdapter,
        languageModel: LanguageModel
    ) throws(ModelConfigurationError) {
        try Configuration(
            encoder: encoder.configuration,
            adapter: adapter.configuration,
            languageModel: languageModel.configuration
        ).requireFit()
        self.encoder = encoder
        self.adapter = adapter
        self.languageModel = languageModel
        shared = SharedStates(languageModel, adapter.configuration)
    }

    /// Freezes the parts that a strategy does not train, and returns the rest in groups for the optimizer.
    ///
    /// `lora` trains the updates that the language model was given.
    public func prepare(for strategy: Strategy) -> [ParameterGroup] {
        shared.reset()
        for parameter in encoder.parameters { parameter.isTrainable = strategy != .proj }
        for parameter in adapter.parameters { parameter.isTrainable = true }
        for parameter in languageModel.parameters { parameter.isTrainable = strategy == .full }
        for parameter in updates { parameter.isTrainable = strategy == .lora }
        let gates = Set(adapter.gates.map(ObjectIdentifier.init))
        let others = parameters.filter { $0.isTrainable && !gates.contains(ObjectIdentifier($0)) }
        return [
            ParameterGroup(parameters: others.filter { $0.decay != .never }, learningRateScale: 1, decays: true),
            ParameterGroup(parameters: others.filter { $0.decay == .never }, learningRateScale: 1, decays: false),
            ParameterGroup(
                parameters: adapter.gates,
                learningRateScale: adapter.configuration.gateLearningRateScale,
                decays: false
            ),
        ]
    }
}
