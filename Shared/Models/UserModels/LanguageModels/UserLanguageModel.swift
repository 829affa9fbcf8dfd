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
        /// Target tokens of the other questions.
        public var vocabularyTokens = 0
        /// Events with a next event.
        public var nextEvents = 0

        /// Counts over all shards of a step.
        public init(_ batches: [UserQuestionBatch]) {
            for batch in batches {
                nextEvents += batch.timelines.targetCount
                for question in batch.questions {
                    if question.choice == .vocabulary {
                        vocabularyTokens += question.targets.count
                    } else {
                        knownAnswers += 1
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
        /// `next-event`.
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
    private let shared: SharedStates

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

    /// The loss of one shard.
    ///
    /// - Parameters:
    ///   - graph: the shard's graph.
    ///   - batch: timelines and questions; at least one question.
    ///   - answers: the trees the questions were made with.
    ///   - weights: weights of the terms.
    ///   - counts: counts over all shards of the step, so that the shards' gradients add up to the mean's.
    /// - Returns: the loss to minimize, and its terms.
    public func loss(
        _ graph: Graph,
        _ batch: UserQuestionBatch,
        answers: KnownAnswers,
        weights: LossWeights,
        counts: Counts
    ) -> Loss {
        let events = encoder.hidden(graph, batch.timelines.events)
        let states = answerStates(graph, events: events, batch.questions)
        var terms: [(Variable, Float)] = []
        var parts: [(name: String, value: Variable)] = []
        func add(_ name: String, _ sum: Variable, weight: Float, count: Int) {
            let share = 1 / Float(max(count, 1))
            terms.append((sum, weight * share))
            parts.append((name, graph.scale(sum, share)))
        }
        for choice in TrainingQuestion.Choice.allCases {
            let questions = batch.questions.indices.filter { batch.questions[$0].choice == choice }
            if questions.isEmpty { continue }
            let (sum, logits) = answerLoss(graph, states, batch.questions, questions, tree: answers.tree(choice))
            if let logits, let tree = answers.tree(choice), weights.encoderGuidance > 0 {
                let asked = questions.map { batch.questions[$0] }
                if let term = guidance(graph, events, logits, asked, tree: tree, share: weights.encoderGuidance) {
                    terms.append((term, weights.knownAnswers / Float(max(counts.knownAnswers, 1))))
                }
            }
            if choice == .vocabulary {
                add(choice.rawValue, sum, weight: weights.vocabulary, count: counts.vocabularyTokens)
            } else {
                add(choice.rawValue, sum, weight: weights.knownAnswers, count: counts.knownAnswers)
            }
        }
        if weights.nextEvent > 0, batch.timelines.targetCount > 0 {
            let loss = encoder.loss(graph, hidden: events, batch.timelines, targetCount: counts.nextEvents)
            add("next-event", loss, weight: weights.nextEvent, count: 1)
        }
        return Loss(total: graph.sum(terms), parts: parts)
    }

    /// The language model's states at the learnt positions of all questions, each with its own user's context.
    ///
    /// Shape [sum of positions, D], in the order of the questions.
    private func answerStates(_ graph: Graph, events: Variable, _ questions: [TrainingQuestion]) -> Variable {
        let contexts = adapter.perceiver.contexts(
            graph,
            events: events,
            timelines: questions.map { Int32($0.timeline) },
            prefixes: questions.map { Int32($0.prefix) }
        )
        if adapter.configuration.kind == .softPrompt { return statesAfterSoftPrompt(graph, contexts, questions) }
        let texts = shared.read(graph, questions.map { ($0.tokens[..<$0.promptLength], $0.answer) })
        let context = adapter.prepare(graph, contexts: contexts, promptLengths: nil, lengths: texts.packing.lengths)
        let hidden = languageModel.read(
            graph,
            texts.states,
            texts.packing,
            blocks: adapter.configuration.crossAttentionFrom..<languageModel.configuration.layers,
            after: texts.prefixes
        ) { graph, block, x in
            self.adapter.beforeBlock(graph, block, x, context)
        }.hidden
        var rows: [Int32] = []
        var first: Int32 = 0
        for (index, question) in questions.enumerated() {
            rows += question.positions.map { first + $0 - Int32(texts.starts[index]) }
            first += texts.packing.lengths[index]
        }
        return languageModel.normed(graph, graph.gatherRows(hidden, rows))
    }

    /// The same where the context stands before the text, so that all of a text depends on it.
    private func statesAfterSoftPrompt(
        _ graph: Graph,
        _ contexts: Variable,
        _ questions: [TrainingQuestion]
    ) -> Variable {
        let context = adapter.prepare(graph, contexts: contexts, promptLengths: nil)
        let T = questions.map(\.tokens.count).max() ?? 0
        let tokens = questions.flatMap { $0.tokens + [Int32](repeating: 0, count: T - $0.tokens.count) }
        let hidden = languageModel.hidden(
            graph,
            tokens: tokens,
            count: questions.count,
            softPrompt: context.softPrompt
        )
        let rows = questions.enumerated().flatMap { index, question in
            question.positions.map { Int32(index * T) + $0 }
        }
        return graph.gatherRows(hidden, rows)
    }

    /// The change of the summed loss when the encoder's predictions take their share in the targets.
    ///
    /// Rows of `logits` are the positions of `questions`, concatenated. Nil when no question asks for the next item.
    private func guidance(
        _ graph: Graph,
        _ events: Variable,
        _ logits: Variable,
        _ questions: [TrainingQuestion],
        tree: PrefixTree,
        share: Float
    ) -> Variable? {
        let L = events.shape[1]
        let rows = questions.filter(\.isGuided).map { Int32($0.timeline * L + $0.prefix - 1) }
        if rows.isEmpty { return nil }
        let itemCount = encoder.configuration.itemCount
        let flat = graph.reshaped(events, [events.shape[0] * L, encoder.configuration.width])
        let scores = graph.values(of: encoder.scores(graph, lastHidden: graph.gatherRows(flat, rows)))
        let guidance = EncoderGuidance(tree: tree, itemCount: itemCount)
        let V = tree.branchTokens.count
        var weights = [Float](repeating: 0, count: logits.shape[0] * V)
        var row = 0
        var guided = 0
        for question in questions {
            if question.isGuided {
                let sums = guidance.cumulative(scores[guided * itemCount..<(guided + 1) * itemCount])
                for (index, node) in question.nodes.enumerated() {
                    guidance.add(
                        to: &weights,
                        from: (row + index) * V,
                        node: node,
                        target: question.targets[index],
                        sums: sums,
                        share: share
                    )
                }
                guided += 1
            }
            row += question.nodes.count
        }
        return graph.weightedSum(logits, weights: weights)
    }

    /// The summed loss of the selected questions' answer tokens, and their logits where a tree restricts the choice.
    ///
    /// Logits are those of the tree's `branchTokens` alone.
    private func answerLoss(
        _ graph: Graph,
        _ states: Variable,
        _ questions: [TrainingQuestion],
        _ chosen: [Int],
        tree: PrefixTree?
    ) -> (sum: Variable, logits: Variable?) {
        let targets = chosen.flatMap { questions[$0].targets }
        var starts: [Int32] = [0]
        for question in questions { starts.append(starts[starts.count - 1] + Int32(question.positions.count)) }
        let chosenStates = graph.gatherRows(states, chosen.flatMap { starts[$0]..<starts[$0 + 1] })
        guard let tree else {
            let sum = graph.crossEntropy(
                chosenStates,
                weight: graph.parameter(languageModel.head),
                bias: nil,
                targets: targets,
                rowWeights: nil
            )
            return (sum, nil)
        }
        var columns: [Int32] = []
        var offsets: [Int32] = [0]
        for node in chosen.lazy.flatMap({ questions[$0].nodes }) {
            columns.append(contentsOf: tree.tokens(after: node).lazy.map(tree.branchColumn))
            offsets.append(Int32(columns.count))
        }
        let table = graph.gatherRows(graph.parameter(languageModel.head), tree.branchTokens)
        let logits = graph.linear(chosenStates, weight: table, bias: nil)
        let sum = graph.crossEntropy(
            logits,
            targets: targets.map(tree.branchColumn),
            allowed: CandidateSets(columns: columns, offsets: offsets),
            rowWeights: nil
        )
        return (sum, logits)
    }
}
