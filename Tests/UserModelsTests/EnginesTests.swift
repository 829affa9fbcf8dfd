import Catalogues
import Foundation
import Bytes
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Testing

@testable import UserModels

@Suite struct EncodingEngineTests {
    private func engine(_ model: UserLanguageModel, threads: Int = 2) -> EncodingEngine {
        EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: TinyWorld.features,
            threads: threads
        )
    }

    @Test func mixedBatchEqualsSingleEncodingsAndTraining() throws {
        let model = try TinyWorld.model()
        var random = SeededRandom(seed: 4)
        // More than one chunk, and some timelines longer than the encoder reads.
        let timelines = (0..<50).map { TinyWorld.timeline(count: $0 * 7 % 12, using: &random) }
        let together = engine(model).encode(timelines)
        #expect(together.count == 50)
        var worst: Float = 0
        for (index, timeline) in timelines.enumerated() {
            let alone = engine(model, threads: 1).encode([timeline])[0]
            worst = max(worst, worstDifference(alone.context, together[index].context))
            worst = max(worst, worstDifference(alone.pooled, together[index].pooled))
            guard !timeline.isEmpty else { continue }
            let graph = Graph(recording: true, seed: 0)
            graph.isTraining = false
            let batch = EventBatch([TinyWorld.features.indexed(timeline.suffix(8))[...]], length: 8)
            let hidden = model.encoder.hidden(graph, batch)
            let contexts = model.adapter.perceiver.contexts(
                graph,
                events: hidden,
                timelines: [0],
                prefixes: batch.lengths
            )
            worst = max(worst, worstDifference(graph.values(of: contexts), together[index].context))
        }
        #expect(worst < 1e-5, "the worst difference is \(worst)")
    }

    @Test func timelineWithoutEventsGivesTheContextWithoutHistory() throws {
        let model = try TinyWorld.model()
        let encoded = engine(model).encode([[], TinyWorld.timeline(["a1"]), []])
        let graph = Graph(recording: false, seed: 0)
        let learnt = graph.values(of: model.adapter.perceiver.contextsWithoutHistory(graph, count: 1))
        #expect(encoded[0].context == learnt && encoded[2].context == learnt)
        #expect(encoded[0].pooled.allSatisfy { $0 == 0 } && encoded[0].pooled.count == 16)
        #expect(worstDifference(encoded[1].context, learnt) > 1e-3)
        #expect(engine(model).encode([]).isEmpty)
    }

    @Test func onlyTheLastEventsCount() throws {
        let model = try TinyWorld.model()
        var random = SeededRandom(seed: 9)
        let long = TinyWorld.timeline(count: 30, using: &random)
        let encoded = engine(model).encode([long, Array(long.suffix(8))])
        #expect(worstDifference(encoded[0].context, encoded[1].context) < 1e-5)
    }

    @Test func unknownItemIsEncoded() throws {
        let encoded = engine(try TinyWorld.model()).encode([
            [TimelineEvent(item: "?", rating: .infinity, categories: ["Drama", "??"], time: .min)],
            [TimelineEvent(item: "", rating: nil, time: .max)],
        ])
        #expect(encoded.allSatisfy { ($0.context + $0.pooled).allSatisfy { $0.isFinite } })
        #expect(worstDifference(encoded[0].context, encoded[1].context) > 1e-3)
    }
}

@Suite struct AnsweringEngineTests {
    private let model: UserLanguageModel
    private let engine: AnsweringEngine
    private let context: UserContext
    private let answers: KnownAnswers
    private let format: PromptFormat

    init() throws {
        model = try TinyWorld.model(seed: 7)
        (answers, format) = try TinyWorld.answers()
        engine = try TinyWorld.answering(model)
        context = TinyWorld.context(model, of: ["a1", "d1", "c2"])
    }

    /// Each answer's logarithmic probability within a tree, by one full pass without cache per answer.
    private func bruteForce(_ tree: PrefixTree, _ question: String) throws -> [Int: Float] {
        var scores: [Int: Float] = [:]
        let prompt = format.prompt(question)
        for leaf in 0..<tree.leafCount {
            let graph = Graph(recording: false, seed: 0)
            let sequence = tree.sequence(ofLeaf: leaf)
            let shape = model.adapter.configuration.perceiver
            let contexts = graph.constant(context.rows, shape: [1, shape.latents, shape.width])
            let prepared = model.adapter.prepare(graph, contexts: contexts, promptLengths: [prompt.count])
            let hidden = model.languageModel.hidden(graph, tokens: prompt + sequence.dropLast(), count: 1) {
                model.adapter.beforeBlock($0, $1, $2, prepared)
            }
            let logits = graph.values(of: model.languageModel.logits(graph, hidden))
            let V = model.languageModel.configuration.vocabularySize
            let nodes = try #require(tree.path(of: sequence))
            var score = 0.0
            for (index, token) in sequence.enumerated() {
                let row = (prompt.count - 1 + index) * V
                let sum = tree.tokens(after: nodes[index]).reduce(0.0) { $0 + exp(Double(logits[row + Int($1)])) }
                score += Double(logits[row + Int(token)]) - log(sum)
            }
            scores[leaf] = Float(score)
        }
        return scores
    }

    @Test func fullWidthSearchEqualsBruteForce() throws {
        let question = "What will the user watch next?"
        for tree in [answers.titles, answers.categories, answers.all] {
            let expected = try bruteForce(tree, question)
            let total = expected.values.reduce(0.0) { $0 + exp(Double($1)) }
            #expect(abs(total - 1) < 1e-4)
            var request = SequenceRequest(tokens: format.prompt(question))
            request.context = model.adapter.projected(context.rows)
            request.tree = RestrictedTree(tree)
            request.search = .beams(width: tree.leafCount)
            let id = try engine.engine.submit(request)
            var ranked: [RankedLeaf] = []
            while !engine.engine.isIdle {
                for case .finished(id, let end) in try engine.engine.step() { ranked = end.ranking }
            }
            #expect(ranked.map(\.leaf) == expected.sorted { $0.value > $1.value }.map(\.key))
            for leaf in ranked { #expect(abs(leaf.score - (expected[leaf.leaf] ?? 0)) < 1e-4) }
        }
    }

    @Test func itemsOfOneTitleAreAllRanked() throws {
        let answer = try engine.answer(AnswerRequest(text: "Next?", form: .title, itemCount: 12), context: context)
        #expect(Set(answer.items.map(\.id)).count == 12)
        let rain = answer.items.filter { $0.title == "Quiet Rain" }
        #expect(rain.map(\.id).sorted() == ["d1", "d2"])
        #expect(rain[0].score == rain[1].score)
        #expect(answer.items.map(\.score) == answer.items.map(\.score).sorted(by: >))
        #expect(answer.text == answer.items[0].title)
    }

    @Test func excludedItemsAreNotAnswered() throws {
        var request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        let all = try engine.answer(request, context: context).items.map(\.id)
        request.excludedItems = [all[0], all[3], "d1", "nobody"]
        let rest = try engine.answer(request, context: context)
        #expect(rest.items.map(\.id) == all.filter { request.excludedItems?.contains($0) == false })
        // Its twin is left, so the title still is.
        #expect(rest.items.contains { $0.id == "d2" })
        let total = rest.items.reduce(into: [String: Float]()) { $0[$1.title] = exp($1.score) }.values.reduce(0, +)
        #expect(abs(total - 1) < 1e-4)
        request.excludedItems = Set(TinyWorld.catalogue.items.map(\.id))
        #expect(throws: AnswerError.nothingLeft) { try engine.answer(request, context: context) }
    }

    @Test func seenItemsAreNotAnsweredUnlessAskedFor() throws {
        var request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        let all = try engine.answer(request, context: context).items
        let catalogue = TinyWorld.catalogue
        var seen = context
        let had = [all[0].id, all[3].id, "d1"]
        let numbers = had.compactMap { catalogue.index(of: $0).map { UInt32($0) } }
        // The last two are no items.
        seen.seenItems = SeenItems(numbers + [12, .max])
        #expect(try engine.answer(request, context: seen).items.map(\.id) == all.map(\.id).filter { !had.contains($0) })
        // What else is excluded is excluded too.
        request.excludedItems = [all[1].id]
        #expect(
            try engine.answer(request, context: seen).items.map(\.id)
                == all.map(\.id).filter { !had.contains($0) && $0 != all[1].id }
        )
        request.excludedItems = nil
        request.includesSeen = true
        #expect(try engine.answer(request, context: seen).items == all)
        request.includesSeen = false
        seen.seenItems = SeenItems(0..<12)
        #expect(throws: AnswerError.nothingLeft) { try engine.answer(request, context: seen) }
        // Categories are never had.
        for form in [Question.AnswerForm.known, .category, .text] {
            let asked = AnswerRequest(text: "Next?", form: form, maximumTokens: 3)
            let answer = try engine.answer(asked, context: seen)
            if form != .text { #expect(catalogue.categories.contains(answer.text) && answer.items.isEmpty) }
        }
    }

    @Test(arguments: Question.AnswerForm.allCases)
    func everyFormGivesWhatItNames(form: Question.AnswerForm) throws {
        var pieces: [String] = []
        let request = AnswerRequest(text: "What do I like?", form: form, itemCount: 3, maximumTokens: 5)
        let answer = try engine.answer(request, context: context) { pieces.append($0) }
        #expect(pieces.joined() == answer.text)
        #expect(answer.firstToken <= answer.total)
        let titles = TinyWorld.catalogue.items.map(\.title)
        switch form {
        case .title:
            #expect(titles.contains(answer.text) && answer.items.count == 3)
        case .category:
            #expect(TinyWorld.catalogue.categories.contains(answer.text) && answer.items.isEmpty)
        case .known:
            #expect((titles + TinyWorld.catalogue.categories).contains(answer.text))
            #expect(answer.items.isEmpty != titles.contains(answer.text))
        case .text, .textWithTitles:
            #expect(format.answer(answer.text).count <= 10 && answer.items.isEmpty)
            #expect(!answer.text.contains("<|"))
        }
        #expect(answer.promptTokens == format.prompt(request.text).count)
        #expect(answer.answerTokens > 0 && (answer.finish == nil) != form.isText)
    }

    @Test func sameSeedGivesTheSameAnswerAndOthersDiffer() throws {
        for form in [Question.AnswerForm.title, .text] {
            func answer(_ seed: UInt64) throws -> String {
                let request = AnswerRequest(text: "Next?", form: form, maximumTokens: 6, temperature: 1, seed: seed)
                return try engine.answer(request, context: context).text
            }
            let texts = try [3, 3, 0, 1, 2, 4, 5, 6].map(answer)
            #expect(texts[0] == texts[1])
            #expect(Set(texts).count > 1)
        }
    }

    @Test func answerDependsOnTheUser() throws {
        let request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        let known = try engine.answer(request, context: context).items.map(\.score)
        let unknown = try engine.answer(request, context: nil).items.map(\.score)
        #expect(worstDifference(known, unknown) > 1e-3)
    }

    @Test func requestsThatCannotBeAnsweredAreRefused() {
        func refuses(_ request: AnswerRequest, _ context: UserContext?, _ message: String) {
            #expect {
                _ = try engine.answer(request, context: context)
            } throws: {
                "\($0)".contains(message)
            }
        }
        let short = UserContext(rows: [1, 2, 3])
        refuses(AnswerRequest(text: "?"), short, "the context has 3 numbers, the model reads 4 x 16")
        refuses(AnswerRequest(text: "?", itemCount: 0), context, "itemCount is 0")
        refuses(AnswerRequest(text: "?", maximumTokens: 0), context, "maximumTokens is 0")
        refuses(AnswerRequest(text: "?", temperature: -1), context, "temperature is -1")
        refuses(AnswerRequest(text: String(repeating: "xyz", count: 50)), context, "at most")
        refuses(AnswerRequest(text: "?", form: .text, maximumTokens: .max), context, "at most 0 fit")
        refuses(AnswerRequest(text: "?", system: "Be kind.", form: .text), context, "system is given, expected none")
        let turns = [Question.Turn(role: .user, text: "Hello")]
        refuses(AnswerRequest(text: "?", turns: turns, form: .text), context, "turns is 1 turns, expected none")
        var sampled = AnswerRequest(text: "?", form: .text)
        sampled.sampling.topP = 0
        refuses(sampled, context, "top_p is 0.0")
        sampled.sampling.topP = 1
        sampled.stop = [""]
        refuses(sampled, context, "stop is a text of 0 bytes")
    }
}
