public import Catalogues
public import LanguageEngine
public import ModelFiles
import NeuralNetwork
public import Tokenization

/// Everything that the services need from a trained model, as one folder with one version.
///
/// ```
/// bundle.json             format, version, and the hash of every other file
/// catalogue.json          the items
/// encoder/                config.json, model.safetensors
/// adapter/                config.json, model.safetensors: Perceiver, projection and cross-attention; fusion.json, if
///                         answers are fused: how much language model and encoder count in them
/// language-model/         a folder as Hugging Face has them, or a GGUF file
/// ```
/// Where the manifest names a path, the language model lies there instead, outside the bundle; its hashes stand in the
/// manifest all the same. Its weights are mapped into memory, and read when an engine or a trainable model is made.
///
/// Writes are atomic. The version is derived from the hashes, so two bundles with the same version are equal.
public struct ModelBundle: Sendable {
    /// The first 16 hexadecimal digits of the SHA-256 of all parts' hashes.
    public let version: String
    /// Reads timelines.
    public let encoder: AutoregressiveEncoder
    /// Turns encoded timelines into the language model's input.
    public let adapter: UserAdapter
    /// The files of the language model, whose weights are still in them.
    public let languageModel: LanguageModelSource
    /// The tokenizer of the language model.
    public let tokenizer: Tokenizer
    /// What questions are answered from: catalogue, features of events, format, titles and categories.
    public let sources: AnswerSources
    /// How much language model and encoder count in an answer; nil when the language model answers alone.
    public let fusion: FusionWeights?

    /// The items that the model knows.
    public var catalogue: Catalogue { sources.catalogue }
    /// The event features that the encoder reads.
    public var features: EventFeatures { sources.features }
    /// The format of questions and answers.
    public var format: PromptFormat { sources.format }
    /// Titles and categories as prefix trees.
    public var answers: KnownAnswers { sources.answers }

    /// The shapes of all parts.
    public var configuration: UserLanguageModel.Configuration {
        UserLanguageModel.Configuration(
            encoder: encoder.configuration,
            adapter: adapter.configuration,
            languageModel: languageModel.configuration
        )
    }

    /// The maximum number of events of a timeline that the encoder reads.
    public var timelineLength: Int { encoder.configuration.length }
    /// Number of vectors in a user's context.
    public var contextRows: Int { adapter.configuration.perceiver.latents }
    /// Width of each vector of a user's context, and of the pooled vector.
    public var contextColumns: Int { adapter.configuration.perceiver.width }

    /// Combines parts that were read, and checks that they fit together.
    init(
        version: String,
        encoder: AutoregressiveEncoder,
        adapter: UserAdapter,
        languageModel: LanguageModelSource,
        format: PromptFormat,
        catalogue: Catalogue,
        fusion: FusionWeights?
    ) throws(ModelConfigurationError) {
        self.version = version
        self.encoder = encoder
        self.adapter = adapter
        self.languageModel = languageModel
        self.fusion = fusion
        tokenizer = format.tokenizer
        sources = AnswerSources(
            catalogue: catalogue,
            features: EventFeatures(configuration: encoder.configuration.features, catalogue: catalogue),
            format: format
        )
        try Self.requireFit(configuration, tokenizer: tokenizer, catalogue: catalogue)
        try Self.requireRoom(configuration, answers: answers)
    }

    /// An engine that encodes timelines.
    ///
    /// - Parameter threads: number of threads that work on a batch, at least 1.
    /// - Returns: an engine for one owner; it shares the weights.
    /// - Throws: `ModelConfigurationError` when `threads` is out of range.
    public func makeEncodingEngine(threads: Int) throws(ModelConfigurationError) -> EncodingEngine {
        try require("threads", threads, threads > 0, "at least 1")
        return EncodingEngine(
            encoder: encoder,
            perceiver: adapter.perceiver,
            features: features,
            threads: threads
        )
    }

    /// An engine that answers questions.
    ///
    /// - Parameters:
    ///   - configuration: bounds and settings of the engine, among them its threads.
    ///   - weights: how the language model's weights are kept.
    ///   - limits: the limits of one answer.
    ///   - fusion: how much language model and encoder count; nil takes the bundle's own weights, if it has some.
    /// - Returns: an engine for one owner, with packed weights of its own.
    /// - Throws: `ModelConfigurationError` when the language model's maximum length is too short for the answers, or
    ///   naming a weight of the fusion that is out of range;
    ///   `EngineError` naming a setting that is out of range; `LanguageModelWeightsError` or `ModelFileError` naming a
    ///   tensor that cannot be packed.
    public func makeAnsweringEngine(
        configuration: EngineConfiguration = EngineConfiguration(),
        weights: WeightFormat = .stored,
        limits: AnswerLimits = .none,
        fusion: FusionWeights? = nil
    ) throws -> AnsweringEngine {
        try AnsweringEngine(
            weights: LanguageModelWeights(languageModel, format: weights, threads: configuration.threads),
            adapter: adapter,
            sources: sources,
            configuration: configuration,
            limits: limits,
            fusion: (fusion ?? self.fusion).map { try AnswerFusion($0, encoder: encoder, answers: answers) }
        )
    }

    /// The model as it is trained, with the language model's weights in Float32.
    ///
    /// - Returns: encoder and adapter are the bundle's own, the language model is a new one; none of them is trainable.
    /// - Throws: `ModelConfigurationError` for a language model that is not trained here, or `ModelFileError` naming a
    ///   weight that cannot be read.
    public func makeTrainableModel() throws -> UserLanguageModel {
        let model = try UserLanguageModel(
            encoder: encoder,
            adapter: adapter,
            languageModel: LanguageModel(languageModel)
        )
        for parameter in model.parameters { parameter.isTrainable = false }
        return model
    }

    /// Throws when a model of this shape does not fit these tokens and items.
    static func requireFit(
        _ shape: UserLanguageModel.Configuration,
        tokenizer: Tokenizer,
        catalogue: Catalogue
    ) throws(ModelConfigurationError) {
        try shape.requireFit()
        let (items, categories) = (shape.encoder.itemCount, shape.encoder.categoryCount)
        try require(
            "encoder.itemCount",
            items,
            items == catalogue.count,
            "the catalogue's \(catalogue.count) items"
        )
        try require(
            "encoder.categoryCount",
            categories,
            categories == catalogue.categories.count,
            "the catalogue's \(catalogue.categories.count) categories"
        )
        // A published model's table often has more rows than its tokenizer has tokens.
        let tokens = shape.languageModel.vocabularySize
        try require(
            "language-model vocab_size",
            tokens,
            tokens >= tokenizer.vocabularySize,
            "at least the tokenizer's \(tokenizer.vocabularySize)"
        )
    }

    /// Throws when a language model's context is too short for the longest answer, so that no engine could be made.
    static func requireRoom(
        _ shape: UserLanguageModel.Configuration,
        answers: KnownAnswers
    ) throws(ModelConfigurationError) {
        let room = shape.languageModel.maximumLength
        let needed = answers.leastPositions + shape.adapter.contextPositions
        try require(
            "language-model max_position_embeddings",
            room,
            room >= needed,
            "at least \(needed), for a short question and the longest title or category of \(answers.longest) tokens"
        )
    }
}
