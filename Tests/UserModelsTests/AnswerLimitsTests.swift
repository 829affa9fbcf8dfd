import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Synchronization
import Testing

@testable import UserModels

/// What one question may take.
@Suite struct AnswerLimitsTests {
    /// A clock that a test puts forward.
    private final class Clock: Sendable {
        private let start = ContinuousClock.now
        private let seconds = Mutex(0)

        func now() -> ContinuousClock.Instant { start + .seconds(seconds.withLock { $0 }) }
        func advance() { seconds.withLock { $0 += 1 } }
    }

    private static let plenty = AnswerLimits(time: .seconds(1_000), byteCount: 1 << 30)

    private let model: UserLanguageModel
    private let answers: KnownAnswers
    private let format: PromptFormat

    init() throws {
        model = try TinyWorld.model(seed: 7)
        (answers, format) = try TinyWorld.answers()
    }

    private func engine(_ limits: AnswerLimits) throws -> AnsweringEngine {
        try TinyWorld.answering(model, limits: limits)
    }

    /// What an answer ends with when the engine has time for so many steps of a second each.
    private func result(
        _ request: AnswerRequest,
        steps: Int,
        deadline: Duration? = nil,
        positionsPerStep: Int = 512
    ) throws -> Result<GeneratedAnswer, AnswerError> {
        let clock = Clock()
        let time = Duration.seconds(steps) - .milliseconds(500)
        var configuration = TinyWorld.exact
        configuration.positionsPerStep = positionsPerStep
        let limits = AnswerLimits(time: time, byteCount: 1 << 30) { clock.now() }
        let engine = try TinyWorld.answering(model, configuration, limits: limits)
        let id = try engine.submit(request, context: nil, deadline: deadline.map { clock.now() + $0 })
        while true {
            for case .finished(id, let result) in try engine.step() { return result }
            clock.advance()
        }
    }

    private func timeExcess(of result: Result<GeneratedAnswer, AnswerError>) -> AnswerExcess? {
        guard case .failure(.tooLong(let excess, _)) = result else { return nil }
        return excess
    }

    private func refusal(_ engine: AnsweringEngine, _ request: AnswerRequest) -> AnswerExcess? {
        do throws(AnswerError) {
            _ = try engine.answer(request, context: nil)
            return nil
        } catch {
            switch error {
            case .tooLong(let excess, _), .tooLarge(let excess, _): return excess
            default: return AnswerExcess(field: "\(error)", value: "")
            }
        }
    }

    private var promptCount: Int { format.prompt("Next?").count }
    private var tokenByteCount: Int { get throws { try engine(.none).positionByteCount } }

    @Test func enoughOfEverythingChangesNothing() throws {
        for form in Question.AnswerForm.allCases {
            let request = AnswerRequest(text: "Next?", form: form, itemCount: 12, maximumTokens: 5)
            let free = try engine(.none).answer(request, context: nil)
            let bounded = try engine(Self.plenty).answer(request, context: nil)
            #expect(free.text == bounded.text && free.items == bounded.items)
        }
    }

    // MARK: - Time

    @Test func aPromptThatTakesTooLongIsNamed() throws {
        for form in Question.AnswerForm.allCases {
            let request = AnswerRequest(text: "Next?", form: form)
            let result = try result(request, steps: 1, positionsPerStep: 2)
            #expect(timeExcess(of: result) == AnswerExcess(field: "text", value: "\(promptCount) tokens long"))
        }
    }

    @Test func aQuestionThatWasNotBegunIsNotToBlame() throws {
        let result = try result(AnswerRequest(text: "Next?"), steps: 0)
        guard case .failure(.busy(let reason)) = result else {
            Issue.record("it ended with \(result)")
            return
        }
        #expect(reason.contains("not begun"))
    }

    /// A question for which the model writes at least five tokens: where it ends a text is chance.
    private func longText() throws -> AnswerRequest {
        let engine = try engine(.none)
        for seed: UInt64 in 0..<50 {
            let request = AnswerRequest(text: "Next?", form: .text, maximumTokens: 30, temperature: 1, seed: seed)
            if try engine.answer(request, context: nil).answerTokens >= 5 { return request }
        }
        throw AnswerError.nothingLeft
    }

    @Test func aTextThatTakesTooLongSaysHowMuchWasWritten() throws {
        let request = try longText()
        for written in 1...3 {
            let excess = timeExcess(of: try result(request, steps: written))
            #expect(excess == AnswerExcess(field: "maximum_tokens", value: "30", fitting: written))
        }
        let error = #expect(throws: AnswerError.self) { try result(request, steps: 2).get() }
        #expect(error?.description.contains("maximum_tokens is 30, which takes longer than the 1.5 seconds") == true)
        #expect(error?.description.contains("about 2 would fit") == true)
    }

    @Test func aRankingThatTakesTooLongSaysHowManyItemsWouldFit() throws {
        #expect(answers.titles.forkDepth > 1)
        let result = try result(AnswerRequest(text: "Next?", form: .title, itemCount: 100), steps: 1)
        let excess = try #require(timeExcess(of: result))
        #expect(excess.field == "item_count" && excess.value == "100")
        let fitting = try #require(excess.fitting)
        #expect(fitting < 100 && fitting >= 10)
    }

    @Test func fewerItemsThanTheLeastWidthAreNotSaidToHelp() throws {
        let result = try result(AnswerRequest(text: "Next?", form: .title, itemCount: 3), steps: 1)
        #expect(timeExcess(of: result)?.field == "text")
    }

    @Test func itsOwnDeadlineEndsAnAnswer() throws {
        let request = try longText()
        let early = try result(request, steps: 1_000, deadline: .milliseconds(1_500))
        #expect(early == .failure(.deadline))
        // The limit of one answer comes first.
        #expect(timeExcess(of: try result(request, steps: 1, deadline: .seconds(90)))?.field == "maximum_tokens")
        #expect(try result(request, steps: 1_000, deadline: .seconds(90)).get().text.isEmpty == false)
    }

    /// A cancelled answer is no answer: it must not be mistaken for one that failed.
    @Test func aCancelledTaskSaysSo() async throws {
        let model = model
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try TinyWorld.answering(model).answer(AnswerRequest(text: "Next?"), context: nil).text
        }
        task.cancel()
        await #expect(throws: AnswerError.cancelled) { try await task.value }
    }

    // MARK: - Memory

    @Test func memoryBoundsTheTokensOfAText() throws {
        let byteCount = try tokenByteCount * (promptCount + 20)
        let limits = AnswerLimits(time: .seconds(1_000), byteCount: byteCount)
        var request = AnswerRequest(text: "Next?", form: .text, maximumTokens: 21)
        let excess = refusal(try engine(limits), request)
        #expect(excess == AnswerExcess(field: "maximum_tokens", value: "21", fitting: 20))
        request.maximumTokens = 20
        #expect(throws: Never.self) { try engine(limits).answer(request, context: nil) }
    }

    @Test func memoryBoundsTheItemsOfARanking() throws {
        let room = promptCount + 11 * answers.titles.forkDepth
        let limits = AnswerLimits(time: .seconds(1_000), byteCount: try tokenByteCount * room)
        var request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        #expect(refusal(try engine(limits), request) == AnswerExcess(field: "item_count", value: "12", fitting: 11))
        request.itemCount = 11
        #expect(try engine(limits).answer(request, context: nil).items.count == 11)
        // Whoever asks for a category has no say in how many there are.
        request.form = .category
        #expect(throws: Never.self) { try engine(limits).answer(request, context: nil) }
    }

    @Test func pagesBoundTheItemsOfARanking() throws {
        var configuration = TinyWorld.exact
        configuration.pageCount = 40
        let engine = try TinyWorld.answering(model, configuration)
        let excess = try #require(refusal(engine, AnswerRequest(text: "Next?", form: .title, itemCount: 1_000)))
        #expect(excess.field == "item_count")
        let widest = try #require(excess.fitting)
        #expect((10...40).contains(widest))
        let request = AnswerRequest(text: "Next?", form: .title, itemCount: widest)
        #expect(try engine.answer(request, context: nil).items.count == 12)
    }

    @Test func memoryBoundsThePrompt() throws {
        for form in Question.AnswerForm.allCases {
            let limits = AnswerLimits(time: .seconds(1_000), byteCount: try tokenByteCount * promptCount)
            let excess = refusal(try engine(limits), AnswerRequest(text: "Next?", form: form))
            let expected = AnswerExcess(field: "text", value: "\(promptCount) tokens long", fitting: promptCount - 1)
            #expect(excess == expected)
        }
    }

    /// A step's work is bounded: a wide search takes several.
    @Test func aSearchInPiecesGivesTheSameRanking() throws {
        let request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        let whole = try TinyWorld.answering(model).answer(request, context: nil)
        for positions in [1, 3, 5] {
            var configuration = TinyWorld.exact
            configuration.positionsPerStep = positions
            #expect(try TinyWorld.answering(model, configuration).answer(request, context: nil).items == whole.items)
        }
    }
}
