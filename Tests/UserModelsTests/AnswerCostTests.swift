import Catalogues
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing

@testable import UserModels

/// The formulas of `AnswerCost` against the products that are executed, to the last multiply-add.
@Suite struct AnswerCostTests {
    /// What an encoder is changed to, by a name for the list of tests.
    struct EncoderChange: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let apply: @Sendable (inout EncoderConfiguration) -> Void
        var perceiverLayers = 2
    }

    static let encoders = [
        EncoderChange(testDescription: "attention") { _ in },
        EncoderChange(testDescription: "attention, 3 layers of 4 heads") { ($0.layers, $0.heads) = (3, 4) },
        EncoderChange(testDescription: "item alone, added") {
            $0.fusion = .add
            ($0.features.usesCategories, $0.features.usesRating, $0.features.usesTimeGap) = (false, false, false)
        },
        EncoderChange(testDescription: "no categories, concatenated") { $0.features.usesCategories = false },
        EncoderChange(testDescription: "hstu") { $0.block = .hstu },
        EncoderChange(testDescription: "hstu, wide, with time") {
            ($0.block, $0.width, $0.heads, $0.timeBiasBuckets) = (.hstu, 24, 3, 16)
        },
        EncoderChange(
            testDescription: "one layer of a Perceiver",
            apply: { $0.feedForwardWidth = 48 },
            perceiverLayers: 1
        ),
        EncoderChange(testDescription: "five layers of a Perceiver", apply: { _ in }, perceiverLayers: 5),
    ]

    @Test(arguments: encoders, [0, 1, 7, 64, 65, 150, 300])
    func anEncodedTimelineCostsWhatTheFormulaSays(_ change: EncoderChange, events: Int) throws {
        var shape = EncoderConfiguration(
            itemCount: TinyWorld.catalogue.count,
            categoryCount: TinyWorld.catalogue.categories.count
        )
        (shape.width, shape.feedForwardWidth, shape.length) = (16, 32, 200)
        change.apply(&shape)
        var perceiverShape = Perceiver.Configuration(width: shape.width)
        (perceiverShape.layers, perceiverShape.latents) = (change.perceiverLayers, 5)
        perceiverShape.heads = shape.heads
        var random = SeededRandom(seed: 3)
        let engine = EncodingEngine(
            encoder: try AutoregressiveEncoder(configuration: shape, using: &random),
            perceiver: try Perceiver(configuration: perceiverShape, using: &random),
            features: EventFeatures(configuration: shape.features, catalogue: TinyWorld.catalogue),
            threads: 1
        )
        for round in 1...2 {
            _ = engine.encode([TinyWorld.timeline(count: events, using: &random)])
            let expected =
                shape.multiplyAdds(events: events) + perceiverShape.multiplyAdds(events: min(events, shape.length))
            #expect(engine.multiplyAdds == round * expected)
            #expect((expected > 0) == (events > 0))
        }
    }

    /// What a model is changed to, by a name for the list of tests.
    struct ModelChange: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var languageModel: @Sendable (inout LanguageModelConfiguration) -> Void = { _ in }
        var adapter: @Sendable (inout UserAdapter.Configuration) -> Void = { _ in }

        func model() throws -> UserLanguageModel {
            try TinyWorld.model(languageModel: languageModel, adapter: adapter)
        }
    }

    static let models = [
        ModelChange(testDescription: "cross-attention before every block"),
        ModelChange(
            testDescription: "from block 2, every second, narrow",
            languageModel: { $0.layers = 5 },
            adapter: {
                ($0.crossAttentionFrom, $0.crossAttentionEvery, $0.crossAttentionHeads) = (2, 2, 2)
                $0.crossAttentionWidth = 12
            }
        ),
        ModelChange(
            testDescription: "context from the last token of the prompt",
            languageModel: { ($0.layers, $0.headWidth) = (3, 16) },
            adapter: { ($0.contextFrom, $0.crossAttentionFrom) = (.lastPromptToken, 1) }
        ),
        ModelChange(testDescription: "one key head", languageModel: { $0.keyValueHeads = 1 }),
        ModelChange(
            testDescription: "as many key heads, untied head",
            languageModel: { ($0.keyValueHeads, $0.headWidth, $0.tiesEmbeddings) = (4, 16, false) }
        ),
        ModelChange(testDescription: "soft prompt", adapter: { $0.kind = .softPrompt }),
        ModelChange(
            testDescription: "one latent, heads wider than the model",
            languageModel: { ($0.headWidth, $0.feedForwardWidth) = (32, 40) },
            adapter: { $0.perceiver.latents = 1 }
        ),
    ]

    private func engine(_ model: UserLanguageModel, threads: Int, step: Int = 512) throws -> Engine {
        var configuration = TinyWorld.exact
        (configuration.threads, configuration.positionsPerStep) = (threads, step)
        let parameters = model.languageModel.parameters.map { ($0.name, $0.value) }
        let tensors = Dictionary(uniqueKeysWithValues: parameters)
        return try Engine(
            weights: LanguageModelWeights(configuration: model.languageModel.configuration) { tensors[$0]?.values },
            adapter: model.adapter.weights(),
            configuration: configuration
        )
    }

    /// Multiply-adds up to the first token, and how many tokens of the prompt were known.
    private func count(_ engine: Engine, _ request: SequenceRequest) throws -> (multiplyAdds: Int, known: Int) {
        let before = engine.metrics.multiplyAdds
        var request = request
        request.maximumTokens = 1
        _ = try engine.submit(request)
        var known = 0
        while !engine.isIdle {
            for case .finished(_, let result) in try engine.step() { known = result.cachedTokens }
        }
        return (engine.metrics.multiplyAdds - before, known)
    }

    private func question(_ model: UserLanguageModel, _ tokens: [Int32], seed: UInt64) -> SequenceRequest {
        var random = SeededRandom(seed: seed)
        let shape = model.adapter.configuration
        let count = shape.perceiver.latents * shape.perceiver.width
        let row = (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
        var request = SequenceRequest(tokens: tokens)
        let rows = model.adapter.projected(row)
        switch shape.kind {
        case .softPrompt: request.softPrompt = rows
        case .crossAttention:
            (request.context, request.contextStart) = (rows, model.adapter.start(promptLength: tokens.count))
        }
        return request
    }

    @Test(arguments: models, [1, 2, 40])
    func aQuestionCostsWhatTheFormulaSays(_ change: ModelChange, tokens: Int) throws {
        let model = try change.model()
        let prompt = (0..<tokens).map { Int32($0 % 50) }
        for threads in [1, 3] {
            let engine = try engine(model, threads: threads)
            let cost = AnswerCost(tokens: tokens, events: 6, model: model.configuration)
            let projection = model.configuration.adapter.projectionMultiplyAdds
            // Encoder and projection work elsewhere.
            let first = try count(engine, question(model, prompt, seed: 1))
            #expect(first == (cost.total - cost.encoding - projection, 0))
            // Another user finds what does not depend on the first one.
            let second = try count(engine, question(model, prompt, seed: 2))
            let shares = model.configuration.adapter.contextFrom == .lastPromptToken
            #expect(second.known == (shares ? (tokens - 1) / 16 * 16 : 0))
            let known = AnswerCost(tokens: tokens, known: second.known, events: 6, model: model.configuration)
            #expect(second.multiplyAdds == known.withoutEncoding - projection)
            #expect((known.total < cost.total) == (second.known > 0))
        }
    }

    @Test(arguments: models)
    func aTextCostsWhatTheFormulaSays(_ change: ModelChange) throws {
        let model = try change.model()
        let shape = model.languageModel.configuration
        let text = (0..<60).map { Int32($0 % 50) }
        // In one pass and in several, of which each has other segments and other pieces of attention.
        for step in [512, 7] {
            let engine = try engine(model, threads: 2, step: step)
            let first = try count(engine, SequenceRequest(tokens: text))
            #expect(first == (AnswerCost(tokens: 60, model: shape).total, 0))
            let again = try count(engine, SequenceRequest(tokens: text))
            #expect(again == (AnswerCost(tokens: 60, known: 48, model: shape).total, 48))
        }
    }

    @Test(arguments: models)
    func aPreparedRowCostsWhatTheFormulaSays(_ change: ModelChange) throws {
        let model = try change.model()
        let shape = model.configuration.adapter
        let graph = Graph(recording: false, seed: 0)
        let (K, d) = (shape.perceiver.latents, shape.perceiver.width)
        let row = graph.constant([Float](repeating: 0.5, count: K * d), shape: [1, K, d])
        _ = model.adapter.prepare(graph, contexts: row, promptLengths: [4])
        #expect(graph.multiplyAdds == shape.projectionMultiplyAdds + shape.contextMultiplyAdds)
        let cost = AnswerCost(tokens: 4, events: 3, model: model.configuration)
        #expect(cost.context == graph.multiplyAdds)
    }

    /// A figure that anyone can work out by hand: one block, one head, no context.
    @Test func aSmallTextByHand() {
        var shape = LanguageModelConfiguration(vocabularySize: 10)
        (shape.width, shape.layers, shape.heads, shape.keyValueHeads, shape.headWidth) = (4, 1, 1, 1, 4)
        shape.feedForwardWidth = 8
        // A position: q, k, v and output 16 each, SwiGLU 3 * 32; keys seen 1 + 2 + 3, 8 each; the head 40.
        #expect(AnswerCost(tokens: 3, model: shape).total == 3 * (64 + 96) + 6 * 8 + 40)
        #expect(AnswerCost(tokens: 3, known: 2, model: shape).total == 160 + 3 * 8 + 40)
    }
}
