import Bytes
import LanguageEngine
import Messages
import NeuralNetwork
import Testing

@testable import UserModels

/// Many questions at once: none of them notices.
@Suite struct ManyAnswersTests {
    /// More than a page of it, which those who ask it again about the same user share.
    private static let longText =
        "Name the next item of this timeline. What would the user like to see next? Which title comes next?"

    private let model: UserLanguageModel
    private let contexts: [UserContext?]

    init() throws {
        let model = try TinyWorld.model(seed: 7)
        self.model = model
        let users: [[ItemID]] = [["a1", "d1", "c2"], ["d3"], ["c1", "c2", "c3", "a4"]]
        contexts = [nil] + users.map { TinyWorld.context(model, of: $0) }
    }

    /// Questions of all forms, greedy and sampled, with and without excluded items.
    private var requests: [(request: AnswerRequest, context: UserContext?)] {
        (0..<24).map { index in
            var request = AnswerRequest(
                text: ["Next?", "What do I like?", Self.longText][index % 3],
                form: Question.AnswerForm.allCases[index % 5],
                itemCount: 1 + index % 12,
                maximumTokens: 3 + index % 9,
                temperature: index % 8 < 4 ? 0 : 0.8,
                seed: UInt64(index)
            )
            if request.form.isText {
                (request.sampling.topK, request.sampling.topP, request.sampling.minP) = (index % 40, 0.95, 0.01)
                request.sampling.repetitionPenalty = 1.1
                (request.sampling.presencePenalty, request.sampling.frequencyPenalty) = (0.2, 0.1)
                if index % 3 == 0 { request.stop = ["e", "Qu"] }
            }
            if index % 5 == 0 { request.excludedItems = ["a1", "c4"] }
            return (request, contexts[index % contexts.count])
        }
    }

    /// What an answer says, without how long it took.
    private struct Said: Equatable {
        var text: String
        var pieces: String
        var items: [Answer.Item]
        var tokens: [Int]
        var finish: Answer.Finish?

        init(_ answer: GeneratedAnswer, pieces: String) {
            (text, self.pieces, items, finish) = (answer.text, pieces, answer.items, answer.finish)
            tokens = [answer.promptTokens, answer.answerTokens]
        }
    }

    private func alone() throws -> [Said] {
        try requests.map { request, context in
            var pieces = ""
            let engine = try TinyWorld.answering(model)
            return Said(try engine.answer(request, context: context) { pieces += $0 }, pieces: pieces)
        }
    }

    /// Answers all, of which a few join in each step; those that are dropped are cancelled soon after.
    private func together(
        _ configuration: EngineConfiguration,
        perStep: Int,
        dropping dropped: Set<Int> = []
    ) throws -> (said: [Said?], metrics: EngineMetrics) {
        let engine = try TinyWorld.answering(model, configuration)
        var said = [Said?](repeating: nil, count: requests.count)
        var (indices, pieces): ([AnswerID: Int], [AnswerID: String]) = ([:], [:])
        var waiting = Array(requests.enumerated())
        while !waiting.isEmpty || !engine.isIdle {
            for (index, question) in waiting.prefix(perStep) {
                let id = try engine.submit(question.request, context: question.context)
                indices[id] = index
            }
            waiting.removeFirst(min(perStep, waiting.count))
            for event in try engine.step() {
                switch event {
                case .piece(let id, let text): pieces[id, default: ""] += text
                case .finished(let id, let end):
                    let removed = indices.removeValue(forKey: id)
                    let index = try #require(removed, "an answer ended twice")
                    if dropped.contains(index) {
                        #expect(end == .failure(.cancelled))
                    } else {
                        said[index] = Said(try end.get(), pieces: pieces[id] ?? "")
                    }
                }
            }
            for (id, index) in indices where dropped.contains(index) { engine.cancel(id) }
        }
        #expect(indices.isEmpty)
        return (said, engine.metrics)
    }

    @Test(arguments: [1, 5, 24])
    func eachIsAnsweredAsIfItWereAlone(perStep: Int) throws {
        let (said, metrics) = try together(TinyWorld.exact, perStep: perStep)
        #expect(said == (try alone()))
        #expect(metrics.running == 0 && metrics.waiting == 0 && metrics.pagesInUse == 0)
        #expect(metrics.prefixHits > 0 || perStep == 24)
    }

    @Test func fewPagesAndSmallStepsChangeNothing() throws {
        var configuration = TinyWorld.exact
        (configuration.pageCount, configuration.positionsPerStep, configuration.maximumRunning) = (40, 7, 6)
        let (said, metrics) = try together(configuration, perStep: 24)
        #expect(said == (try alone()))
        #expect(metrics.pagesInUse == 0)
    }

    @Test func cancelledAnswersLeaveTheOthersAlone() throws {
        // The last one, a text of at least 14 tokens unless it ends early, and one that waits for a place.
        var configuration = TinyWorld.exact
        configuration.maximumRunning = 4
        configuration.positionsPerStep = 16
        let dropped: Set<Int> = [11, 19, 23]
        let (said, metrics) = try together(configuration, perStep: 24, dropping: dropped)
        let alone = try alone()
        for index in said.indices where !dropped.contains(index) { #expect(said[index] == alone[index]) }
        #expect(metrics.pagesInUse == 0)
    }

    @Test func anAnswerThatIsWaitedForKeepsTheEventsOfOthers() throws {
        let engine = try TinyWorld.answering(model)
        let other = try engine.submit(AnswerRequest(text: "Next?", form: .title), context: nil)
        let text = try engine.answer(AnswerRequest(text: "Next?", form: .text, maximumTokens: 30), context: nil)
        #expect(!engine.isIdle)
        var (pieces, result) = ("", "")
        for event in try engine.step() {
            switch event {
            case .piece(other, let text): pieces += text
            case .finished(other, let end): result = try end.get().text
            default: Issue.record("an event of another answer: \(event)")
            }
        }
        #expect(engine.isIdle && pieces == result && !result.isEmpty && text.promptTokens > 0)
    }

    @Test func moreThanMayWaitAreToldToComeBack() throws {
        var configuration = TinyWorld.exact
        (configuration.maximumRunning, configuration.maximumWaiting) = (1, 2)
        let engine = try TinyWorld.answering(model, configuration)
        for _ in 0..<2 { _ = try engine.submit(AnswerRequest(text: "Next?"), context: nil) }
        #expect {
            _ = try engine.submit(AnswerRequest(text: "Next?"), context: nil)
        } throws: {
            "\($0)".contains("ask again later")
        }
    }

    @Test func aStopTextEndsAnAnswerWithoutIt() throws {
        var request = AnswerRequest(text: "Next?", form: .text, maximumTokens: 30, temperature: 1, seed: 3)
        let engine = try TinyWorld.answering(model)
        let whole = try engine.answer(request, context: nil).text
        try #require(whole.utf8.count > 4)
        let stop = String(whole.dropFirst(whole.count / 2).prefix(2))
        request.stop = [stop]
        let cut = try engine.answer(request, context: nil)
        let place = try #require(whole.firstRange(of: stop))
        #expect(cut.text == String(whole[..<place.lowerBound]) && cut.finish == .stop)
    }
}
