import Catalogues
import Bytes
import Catalogues
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing

@testable import UserModels

/// What no user changes is computed once, and changes no answer and no gradient.
@Suite struct SharedStatesTests {
    private let features = TinyWorld.features

    /// Where a context enters the language model.
    struct Entry: Sendable, CustomTestStringConvertible {
        var first: Int
        var reach: UserAdapter.Reach
        var every = 1

        var testDescription: String { "from block \(first) on, every \(every), from the \(reach.rawValue)" }

        static let all = [
            Entry(first: 0, reach: .firstToken), Entry(first: 2, reach: .firstToken),
            Entry(first: 0, reach: .lastPromptToken), Entry(first: 1, reach: .lastPromptToken, every: 2),
            Entry(first: 2, reach: .lastPromptToken),
        ]
    }

    private func model(_ entry: Entry) throws -> UserLanguageModel {
        try TinyWorld.model(
            languageModel: { $0.layers = 4 },
            adapter: {
                $0.crossAttentionFrom = entry.first
                $0.crossAttentionEvery = entry.every
                $0.contextFrom = entry.reach
            }
        )
    }

    /// Two phrasings, titles of one to several tokens, a user without history.
    private func batch(_ answers: KnownAnswers, _ format: PromptFormat) throws -> UserQuestionBatch {
        let windows = [["a1", "d1", "c1", "a3"], ["c2", "c1", "d4", "a4"]].map {
            features.indexed(TinyWorld.timeline($0.map { ItemID($0) }))[...]
        }
        var questions: [TrainingQuestion] = []
        for item in TinyWorld.catalogue.items.indices {
            let phrasing = UserTask.nextTitle.trainingPhrasings[item % 2]
            let question = TrainingQuestion(
                prompt: format.prompt(phrasing),
                answer: answers.tokens(ofTitle: item),
                choice: item % 3 == 0 ? .title : .known,
                answers: answers,
                timeline: item % 2,
                prefix: item % 4,
                asksForNextItem: true
            )
            questions.append(try #require(question))
        }
        return UserQuestionBatch(timelines: NextEventBatch(windows: windows), questions: questions)
    }

    private func gradients(
        _ model: UserLanguageModel,
        _ batch: UserQuestionBatch,
        _ answers: KnownAnswers
    ) -> (loss: Float, all: [String: [Float]]) {
        let graph = Graph(recording: true, seed: 0)
        var weights = UserLanguageModel.LossWeights()
        weights.encoderGuidance = 0.5
        let loss = model.loss(graph, batch, answers: answers, weights: weights, counts: .init([batch])).total
        let value = graph.values(of: loss)[0]
        graph.backward(loss)
        let found = model.parameters.compactMap { parameter in
            graph.gradient(of: parameter).map { (parameter.name, $0.values) }
        }
        return (value, Dictionary(uniqueKeysWithValues: found))
    }

    /// With a language model that is trained nothing is kept, so the adapter's gradient is that of the whole computation.
    @Test(arguments: Entry.all)
    func keptStatesGiveTheSameLossAndGradients(entry: Entry) throws {
        let (answers, format) = try TinyWorld.answers()
        let batch = try batch(answers, format)
        let (frozen, whole) = (try model(entry), try model(entry))
        _ = frozen.prepare(for: .enc)
        _ = whole.prepare(for: .full)
        let wanted = gradients(whole, batch, answers)
        for round in 0..<2 {
            let found = gradients(frozen, batch, answers)
            #expect(abs(found.loss - wanted.loss) < 1e-5 * abs(wanted.loss), "round \(round)")
            let names = (frozen.encoder.parameters + frozen.adapter.parameters).map(\.name)
            #expect(found.all.keys.allSatisfy { names.contains($0) })
            for name in names {
                let (own, reference) = (found.all[name] ?? [], wanted.all[name] ?? [])
                try #require(own.count == reference.count, "\(name)")
                let scale = reference.reduce(Float(1e-4)) { max($0, abs($1)) }
                let furthest = zip(own, reference).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
                #expect(furthest < 2e-4 * scale, "\(name), round \(round)")
            }
        }
    }

    /// The engine reads prompts and answers on its own, so a title's loss has to be its score there.
    @Test(arguments: Entry.all)
    func lossOfATitleIsItsScoreInTheEngine(entry: Entry) throws {
        let model = try model(entry)
        _ = model.prepare(for: .proj)
        let (answers, format) = try TinyWorld.answers()
        let events = TinyWorld.timeline(["a1", "d1", "c1"])
        let context = TinyWorld.context(model, of: ["a1", "d1", "c1"])
        let question = UserTask.nextTitle.heldOutPhrasings[0]
        let ranked = try TinyWorld.answering(model).answer(
            AnswerRequest(text: question, form: .title, itemCount: 12),
            context: context
        )
        #expect(ranked.items.count == 12)
        var windows = NextEventBatch(windows: [features.indexed(events)[...]])
        windows.events = EventBatch([features.indexed(events)[...]])
        for item in ranked.items {
            let target = TrainingQuestion(
                prompt: format.prompt(question),
                answer: answers.tokens(ofTitle: try #require(features.index(ofItem: item.id))),
                choice: .title,
                answers: answers,
                prefix: 3
            )
            let batch = UserQuestionBatch(timelines: windows, questions: [try #require(target)])
            let graph = Graph(recording: false, seed: 0)
            let loss = model.loss(graph, batch, answers: answers, weights: .init(), counts: .init([batch]))
            #expect(abs(graph.values(of: loss.total)[0] + item.score) < 1e-4)
        }
    }

    @Test func whatIsKeptIsBoundedAndForgotten() throws {
        let model = try model(Entry(first: 2, reach: .lastPromptToken))
        for parameter in model.languageModel.parameters { parameter.isTrainable = false }
        let (answers, format) = try TinyWorld.answers()
        let prompt = format.prompt(UserTask.nextTitle.trainingPhrasings[0])
        let titles = (0..<12).map { answers.tokens(ofTitle: $0)[...] }
        func states(_ shared: SharedStates) -> [UInt32] {
            let graph = Graph(recording: false, seed: 0)
            let texts = shared.read(graph, titles.map { (prompt[...], $0) })
            return graph.values(of: texts.states).map(\.bitPattern)
        }
        let roomy = SharedStates(model.languageModel, model.adapter.configuration)
        let first = states(roomy)
        let kept = roomy.keptBytes
        #expect(kept > 0 && states(roomy) == first && roomy.keptBytes == kept)
        let tight = SharedStates(model.languageModel, model.adapter.configuration, capacity: kept / 2)
        #expect(states(tight) == first && states(tight) == first)
        #expect(tight.keptBytes > 0 && tight.keptBytes <= kept / 2)
        // What is kept of a text does not depend on what is read beside it.
        let single = SharedStates(model.languageModel, model.adapter.configuration)
        let graph = Graph(recording: false, seed: 0)
        for title in titles.reversed() { _ = single.read(graph, [(prompt[...], title)]) }
        #expect(single.keptBytes == kept && states(single) == first)
        // Other weights have other states, once they are announced.
        let table = model.languageModel.parameters[0]
        table.value.assign(table.value.values.map { $0 * 1.5 })
        roomy.reset()
        #expect(roomy.keptBytes == 0 && states(roomy) != first)
    }
}
