import Bytes
import Foundation
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing

@testable import UserModels

/// The adapter in a graph, where it is trained, and in the engine, where it serves.
@Suite struct UserAdapterTests {
    /// A way to join the two models.
    struct Join: Sendable, CustomStringConvertible {
        let description: String
        let change: @Sendable (inout UserAdapter.Configuration) -> Void

        static let all = [
            Join(description: "before every block") { _ in },
            Join(description: "from block 1 on") { $0.crossAttentionFrom = 1 },
            Join(description: "before every second block, narrower") {
                ($0.crossAttentionEvery, $0.crossAttentionWidth, $0.crossAttentionHeads) = (2, 12, 3)
            },
            Join(description: "wider than the model") { ($0.crossAttentionWidth, $0.crossAttentionHeads) = (48, 2) },
            Join(description: "from the last prompt token on") { $0.contextFrom = .lastPromptToken },
            Join(description: "as a soft prompt") { $0.kind = .softPrompt },
        ]
    }

    private func model(_ join: Join, gateOpening: Float = 0.75) throws -> UserLanguageModel {
        try TinyWorld.model(gateOpening: gateOpening, seed: 5, languageModel: { $0.layers = 3 }, adapter: join.change)
    }

    /// Tokens chosen one after the other by the engine, each with the logarithms of the likeliest ones' probabilities.
    private func decoded(
        _ model: UserLanguageModel,
        prompt: [Int32],
        context: [Float]?,
        hasAdapter: Bool = true
    ) throws -> [GeneratedToken] {
        let answering = try TinyWorld.answering(model)
        let parameters = model.languageModel.parameters.map { ($0.name, $0.value) }
        let tensors = Dictionary(uniqueKeysWithValues: parameters)
        let engine =
            hasAdapter
            ? answering.engine
            : try Engine(
                weights: LanguageModelWeights(configuration: model.languageModel.configuration) { tensors[$0]?.values },
                configuration: TinyWorld.exact
            )
        var request = SequenceRequest(tokens: prompt)
        if let context {
            let rows = model.adapter.projected(context)
            let isSoft = model.adapter.configuration.kind == .softPrompt
            (request.context, request.softPrompt) = isSoft ? (nil, rows) : (rows, nil)
            request.contextStart = model.adapter.start(promptLength: prompt.count)
        }
        request.maximumTokens = 8
        request.logProbabilities = 64
        let id = try engine.submit(request)
        var tokens: [GeneratedToken] = []
        while !engine.isIdle {
            for case .token(id, let token) in try engine.step() { tokens.append(token) }
        }
        return tokens
    }

    @Test(arguments: Join.all)
    func theEngineComputesWhatTheGraphDoes(join: Join) throws {
        let model = try model(join)
        let (_, format) = try TinyWorld.answers()
        let prompt = format.prompt("What will the user watch next?")
        let context = TinyWorld.context(model, of: ["a1", "c2", "d3"]).rows
        let decoded = try decoded(model, prompt: prompt, context: context)
        #expect(decoded.count == 8)
        let text = prompt + decoded.map(\.token)
        let graph = Graph(recording: false, seed: 0)
        let shape = model.adapter.configuration.perceiver
        let prepared = model.adapter.prepare(
            graph,
            contexts: graph.constant(context, shape: [1, shape.latents, shape.width]),
            promptLengths: [prompt.count]
        )
        let hidden = model.languageModel.hidden(graph, tokens: text, count: 1, softPrompt: prepared.softPrompt) {
            model.adapter.beforeBlock($0, $1, $2, prepared)
        }
        let logits = graph.values(of: model.languageModel.logits(graph, hidden))
        let V = model.languageModel.configuration.vocabularySize
        var worst = 0.0
        for (index, token) in decoded.enumerated() {
            let row = logits[(prompt.count - 1 + index) * V..<(prompt.count + index) * V].map(Double.init)
            let logSum = log(row.reduce(0) { $0 + exp($1) })
            #expect(token.likeliest.count == 64)
            for choice in token.likeliest {
                worst = max(worst, abs(row[Int(choice.token)] - logSum - Double(choice.logProbability)))
            }
        }
        #expect(worst < 1e-4, "the worst difference of a logarithm is \(worst), \(join)")
        // The user matters.
        let other = try self.decoded(model, prompt: prompt, context: TinyWorld.context(model, of: ["d1"]).rows)
        #expect(other[0].likeliest != decoded[0].likeliest)
    }

    @Test(arguments: Join.all.filter { $0.description != "as a soft prompt" })
    func closedGatesLeaveTheEnginesLogitsBitIdentical(join: Join) throws {
        let model = try model(join, gateOpening: 0)
        let (_, format) = try TinyWorld.answers()
        let prompt = format.prompt("What will the user watch next?")
        let context = TinyWorld.context(model, of: ["a1", "c2", "d3"]).rows
        let alone = try decoded(model, prompt: prompt, context: nil, hasAdapter: false)
        #expect(try decoded(model, prompt: prompt, context: context) == alone)
        #expect(try decoded(model, prompt: prompt, context: nil) == alone)
    }

    /// What stands before the last prompt token is read once for all users.
    @Test func usersShareAPromptThatTheContextDoesNotReach() throws {
        func cachedTokens(_ reach: UserAdapter.Reach) throws -> Int {
            let model = try TinyWorld.model(
                seed: 5,
                languageModel: { $0.maximumLength = 128 },
                adapter: { $0.contextFrom = reach }
            )
            let engine = try TinyWorld.answering(model)
            let request = AnswerRequest(
                text: "What will the user watch next? Which title comes next? What should I watch next?",
                form: .category
            )
            for items: [ItemID] in [["a1"], ["d1", "c1"]] {
                _ = try engine.answer(request, context: TinyWorld.context(model, of: items))
            }
            return engine.metrics.cachedPromptTokens
        }
        #expect(try cachedTokens(.firstToken) == 0)
        #expect(try cachedTokens(.lastPromptToken) == 16)
    }

    @Test(arguments: Join.all)
    func everyJoinIsTrained(join: Join) throws {
        let model = try model(join)
        let (answers, format) = try TinyWorld.answers()
        let question = try #require(
            TrainingQuestion(
                prompt: format.prompt("Next?"),
                answer: answers.tokens(ofTitle: 3),
                choice: .title,
                answers: answers,
                prefix: 3
            )
        )
        let events = TinyWorld.features.indexed(TinyWorld.timeline(["a1", "d1", "c1", "a4"]))
        let batch = UserQuestionBatch(
            timelines: NextEventBatch(windows: [events[...]]),
            questions: [question, question]
        )
        _ = model.prepare(for: .proj)
        let graph = Graph(recording: true, seed: 0)
        let counts = UserLanguageModel.Counts([batch])
        let loss = model.loss(graph, batch, answers: answers, weights: .init(), counts: counts)
        graph.backward(loss.total)
        for parameter in model.adapter.parameters where parameter.name != "perceiver.no_history" {
            let gradient = try #require(graph.gradient(of: parameter), "\(parameter.name) has no gradient, \(join)")
            // A softmax does not see what is added to every key alike.
            if parameter.name.hasSuffix("key.bias") { continue }
            #expect(gradient.values.contains { $0 != 0 }, "\(parameter.name) learns nothing, \(join)")
        }
    }

    @Test func aConfigurationOfAnEarlierVersionMeansWhatItMeant() throws {
        let json = """
            {"crossAttentionEvery": 2, "crossAttentionHeads": 4, "gateLearningRateScale": 10, "gateOpening": 0.5,
            "languageModelLayers": 4, "languageModelWidth": 32, "perceiver": {"feedForwardWidth": 32, "heads": 2,
            "latents": 4, "layers": 2, "width": 16}}
            """
        let configuration = try JSONDecoder().decode(UserAdapter.Configuration.self, from: Data(json.utf8))
        #expect(configuration.kind == .crossAttention && configuration.contextFrom == .firstToken)
        #expect(configuration.crossAttentionBlocks == [0, 2] && configuration.innerWidth == 32)
        let again = try JSONDecoder().decode(
            UserAdapter.Configuration.self,
            from: JSONEncoder().encode(configuration)
        )
        #expect(again == configuration)
    }

    @Test func aSoftPromptActsFromTheFirstTokenOn() {
        #expect {
            _ = try TinyWorld.model(adapter: { ($0.kind, $0.contextFrom) = (.softPrompt, .lastPromptToken) })
        } throws: {
            "\($0)".contains("adapter.contextFrom is last-prompt-token, expected first-token for a soft prompt")
        }
    }
}
