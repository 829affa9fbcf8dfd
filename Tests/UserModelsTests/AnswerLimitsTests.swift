import Messages
import NeuralNetwork
import Synchronization
import Testing

@testable import UserModels

/// What one question may take.
@Suite struct AnswerLimitsTests {
    /// A clock that goes on by a second each time somebody looks at it.
    private final class Clock: Sendable {
        private let start = ContinuousClock.now
        private let looks = Mutex(0)

        func now() -> ContinuousClock.Instant {
            start
                + looks.withLock { looks in
                    defer { looks += 1 }
                    return .seconds(looks)
                }
        }

        /// How often somebody looked at it.
        var lookCount: Int { looks.withLock { $0 } }
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
        try AnsweringEngine(
            model: model,
            catalogue: TinyWorld.catalogue,
            features: TinyWorld.features,
            answers: answers,
            format: format,
            limits: limits
        )
    }

    /// An engine of which the language model is asked so many of its blocks for an answer.
    private func engine(blocks: Int) throws -> AnsweringEngine {
        let clock = Clock()
        let limits = AnswerLimits(time: .seconds(blocks + 1), byteCount: 1 << 30) { clock.now() }
        return try engine(limits)
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

    private var tokenByteCount: Int { model.languageModel.cachedByteCount }
    private var promptCount: Int { format.prompt("Next?").count }

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
            // The model has two blocks, and the prompt needs both.
            for blocks in [0, 1] {
                let excess = refusal(try engine(blocks: blocks), request)
                #expect(excess == AnswerExcess(field: "text", value: "\(promptCount) tokens long"))
            }
        }
    }

    /// A question for which the model writes at least five tokens: where it ends a text is chance.
    private func longText() throws -> AnswerRequest {
        for seed: UInt64 in 0..<50 {
            let clock = Clock()
            let limits = AnswerLimits(time: .seconds(1_000_000), byteCount: 1 << 30) { clock.now() }
            let request = AnswerRequest(text: "Next?", form: .text, maximumTokens: 30, temperature: 1, seed: seed)
            _ = try engine(limits).answer(request, context: nil)
            // Once at the beginning, then for two blocks of the prompt and of each token but the last.
            if clock.lookCount >= 1 + 2 * 5 { return request }
        }
        throw AnswerError.nothingLeft
    }

    @Test func aTextThatTakesTooLongSaysHowMuchWasWritten() throws {
        let request = try longText()
        for written in 1...3 {
            let excess = refusal(try engine(blocks: 2 * written + 1), request)
            #expect(excess == AnswerExcess(field: "maximum_tokens", value: "30", fitting: written))
        }
        let error = #expect(throws: AnswerError.self) { try engine(blocks: 5).answer(request, context: nil) }
        #expect(error?.description.contains("maximum_tokens is 30, which takes longer than the 6.0 seconds") == true)
        #expect(error?.description.contains("about 2 would fit") == true)
    }

    @Test func aRankingThatTakesTooLongSaysHowManyItemsWouldFit() throws {
        let depth = answers.titles.forkDepth
        #expect(depth > 1)
        let engine = try engine(blocks: 2 * depth - 1)
        let excess = try #require(refusal(engine, AnswerRequest(text: "Next?", form: .title, itemCount: 200)))
        #expect(excess.field == "item_count" && excess.value == "200")
        let fitting = try #require(excess.fitting)
        #expect(fitting < 200 && fitting >= 10)
    }

    @Test func fewerItemsThanTheLeastWidthAreNotSaidToHelp() throws {
        let excess = refusal(try engine(blocks: 2), AnswerRequest(text: "Next?", form: .title, itemCount: 3))
        #expect(excess?.field == "text")
    }

    /// A cancelled answer is no answer: it must not be mistaken for one that failed.
    @Test func aCancelledAnswerSaysSo() async throws {
        let (model, answers, format) = (model, answers, format)
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            let engine = try AnsweringEngine(
                model: model,
                catalogue: TinyWorld.catalogue,
                features: TinyWorld.features,
                answers: answers,
                format: format
            )
            return try engine.answer(AnswerRequest(text: "Next?"), context: nil).text
        }
        task.cancel()
        await #expect(throws: AnswerError.cancelled) { try await task.value }
    }

    // MARK: - Memory

    @Test func memoryBoundsTheTokensOfAText() throws {
        let limits = AnswerLimits(time: .seconds(1_000), byteCount: tokenByteCount * (promptCount + 20))
        var request = AnswerRequest(text: "Next?", form: .text, maximumTokens: 21)
        let excess = refusal(try engine(limits), request)
        #expect(excess == AnswerExcess(field: "maximum_tokens", value: "21", fitting: 20))
        request.maximumTokens = 20
        #expect(throws: Never.self) { try engine(limits).answer(request, context: nil) }
    }

    @Test func memoryBoundsTheItemsOfARanking() throws {
        let room = promptCount + 11 * answers.titles.forkDepth
        let limits = AnswerLimits(time: .seconds(1_000), byteCount: tokenByteCount * room)
        var request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        #expect(refusal(try engine(limits), request) == AnswerExcess(field: "item_count", value: "12", fitting: 11))
        request.itemCount = 11
        #expect(try engine(limits).answer(request, context: nil).items.count == 11)
        // Whoever asks for a category has no say in how many there are.
        request.form = .category
        #expect(throws: Never.self) { try engine(limits).answer(request, context: nil) }
    }

    @Test func memoryBoundsThePrompt() throws {
        for form in Question.AnswerForm.allCases {
            let limits = AnswerLimits(time: .seconds(1_000), byteCount: tokenByteCount * promptCount)
            let excess = refusal(try engine(limits), AnswerRequest(text: "Next?", form: form))
            let expected = AnswerExcess(field: "text", value: "\(promptCount) tokens long", fitting: promptCount - 1)
            #expect(excess == expected)
        }
    }

    /// Many texts with a large vocabulary have their logits some at a time.
    @Test func logitsInPartsGiveTheSameRanking() throws {
        func ranked(_ byteCount: Int) throws -> [RankedLeaf] {
            let graph = Graph(recording: false, seed: 0)
            var decoding = try TextDecoding(
                graph,
                languageModel: model.languageModel,
                adapter: model.adapter,
                context: model.adapter.perceiver.contextsWithoutHistory(graph, count: 1),
                prompt: format.prompt("Next?"),
                logitsByteCount: byteCount
            )
            return try decoding.search(RestrictedTree(answers.all), width: answers.all.leafCount)
        }
        let whole = try ranked(TextDecoding.logitsByteCount)
        for byteCount in [1, 3 * 4 * model.languageModel.configuration.vocabularySize] {
            let parts = try ranked(byteCount)
            #expect(parts.map(\.leaf) == whole.map(\.leaf))
            #expect(worstDifference(parts.map(\.score), whole.map(\.score)) < 1e-5)
        }
    }
}
