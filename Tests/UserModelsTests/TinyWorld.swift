import Catalogues
import Bytes
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Tokenization
import UserModels

/// A catalogue small enough to rank by hand, and models of its size.
enum TinyWorld {
    static let catalogue: Catalogue = {
        let items = [
            ("a1", "Star Dust", ["Action"]), ("a2", "Star Dust Again", ["Action"]), ("a3", "Iron Fist", ["Action"]),
            ("a4", "Iron Will", ["Action", "Drama"]), ("d1", "Quiet Rain", ["Drama"]), ("d2", "Quiet Rain", ["Drama"]),
            ("d3", "A Letter", ["Drama"]), ("d4", "Alone", ["Drama", "Comedy"]), ("c1", "Pie Fight", ["Comedy"]),
            ("c2", "Pie Fight 2", ["Comedy"]), ("c3", "The Clown", ["Comedy"]), ("c4", "Comedy", ["Comedy"]),
        ]
        guard
            let catalogue = try? Catalogue(
                items: items.map { CatalogueItem(id: ItemID($0.0), title: $0.1, categories: $0.2) }
            )
        else { preconditionFailure("the tiny catalogue has ids that repeat") }
        return catalogue
    }()

    static func tokenizer() throws -> Tokenizer {
        let questions = UserTask.allCases.flatMap { $0.trainingPhrasings + $0.heldOutPhrasings }
        return try BPETrainer.train(
            catalogue.items.map(\.title) + catalogue.categories + questions,
            vocabularySize: 400,
            specialTokens: PromptFormat.specialTokens
        )
    }

    static func model(
        gateOpening: Float = 0.75,
        dropout: Float = 0,
        seed: UInt64 = 1,
        languageModel: (inout LanguageModelConfiguration) -> Void = { _ in },
        adapter: (inout UserAdapter.Configuration) -> Void = { _ in }
    ) throws -> UserLanguageModel {
        var random = SeededRandom(seed: seed)
        var encoderShape = AutoregressiveEncoder.Configuration(
            itemCount: catalogue.count,
            categoryCount: catalogue.categories.count
        )
        encoderShape.width = 16
        encoderShape.feedForwardWidth = 32
        encoderShape.length = 8
        encoderShape.dropout = dropout
        var languageShape = LanguageModelConfiguration(vocabularySize: try tokenizer().vocabularySize)
        languageShape.width = 32
        languageShape.layers = 2
        languageShape.headWidth = 8
        languageShape.feedForwardWidth = 64
        languageShape.maximumLength = 64
        languageModel(&languageShape)
        var adapterShape = UserAdapter.Configuration(encoder: encoderShape, languageModel: languageShape)
        adapterShape.perceiver.latents = 4
        adapterShape.perceiver.feedForwardWidth = 32
        adapterShape.gateOpening = gateOpening
        adapter(&adapterShape)
        return try UserLanguageModel(
            encoder: AutoregressiveEncoder(configuration: encoderShape, using: &random),
            adapter: UserAdapter(configuration: adapterShape, using: &random),
            languageModel: LanguageModel(configuration: languageShape, using: &random)
        )
    }

    static let features = EventFeatures(configuration: EventFeatures.Configuration(), catalogue: catalogue)

    static func answers() throws -> (answers: KnownAnswers, format: PromptFormat) {
        let format = try PromptFormat(tokenizer: tokenizer())
        return (KnownAnswers(catalogue: catalogue, categoryNames: features.categoryNames, format: format), format)
    }

    /// A timeline of these items, a minute apart.
    static func timeline(_ items: [ItemID], rating: Float? = 4) -> [TimelineEvent] {
        items.enumerated().map { TimelineEvent(item: $1, rating: rating, time: Int64($0) * 60_000) }
    }

    /// A timeline of random items.
    static func timeline(count: Int, using random: inout SeededRandom) -> [TimelineEvent] {
        timeline((0..<count).map { _ in catalogue.items[random.below(catalogue.count)].id })
    }

    /// Settings for an engine that computes as exactly as a graph does.
    static let exact: EngineConfiguration = {
        var configuration = EngineConfiguration()
        configuration.cacheFormat = .float32
        configuration.pageCount = 256
        configuration.pagePositions = 16
        return configuration
    }()

    static func answering(
        _ model: UserLanguageModel,
        _ configuration: EngineConfiguration = exact,
        limits: AnswerLimits = .none,
        fusion: FusionWeights? = nil
    ) throws -> AnsweringEngine {
        let (_, format) = try answers()
        return try AnsweringEngine(
            model: model,
            sources: AnswerSources(catalogue: catalogue, features: features, format: format),
            configuration: configuration,
            limits: limits,
            fusion: fusion
        )
    }

    static func context(_ model: UserLanguageModel, of items: [ItemID]) -> UserContext {
        let engine = EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: features,
            threads: 1
        )
        return UserContext(engine.encode([timeline(items)])[0])
    }

    /// The same weights in every bit.
    static func bits(_ parameters: [Parameter]) -> [String: [UInt32]] {
        Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.value.values.map(\.bitPattern)) })
    }
}

/// The greatest difference of two rows of numbers; infinite when they differ in length or one is not a number.
func worstDifference(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float {
    guard a.count == b.count else { return .infinity }
    let differences = zip(a, b).map { abs($0 - $1) }
    return differences.contains(where: \.isNaN) ? .infinity : differences.max() ?? 0
}
