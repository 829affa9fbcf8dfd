import Foundation
@testable import LanguageEngine
import ModelFiles
import RandomNumbers
import Testing

@Suite struct EngineTests {
    /// Requests of every kind.
    static func requests(_ model: TinyModel, count: Int = 8) -> [SequenceRequest] {
        (0..<count).map { index in
            SequenceRequest(model.tokens(3 + 11 * index % 60, seed: UInt64(index)), maximumTokens: 10 + 3 * index) {
                if index % 2 == 1 {
                    $0.sampling.temperature = 0.9
                    $0.sampling.seed = UInt64(index)
                    $0.sampling.topK = index % 4 == 1 ? 20 : 0
                    $0.sampling.topP = 0.95
                    $0.sampling.repetitionPenalty = 1.1
                }
                if index % 3 == 2, model.adapter != nil { $0.context = model.rows(4, seed: UInt64(index)) }
                if index % 5 == 4 { $0.softPrompt = model.rows(3, seed: UInt64(index)) }
            }
        }
    }

    @Test func greedyTextIsTheReferences() throws {
        let model = TinyModel()
        let prompt = model.tokens(20, seed: 3)
        let answer = try model.engine().answer(SequenceRequest(prompt, maximumTokens: 8))
        var text = prompt
        for token in answer.tokens {
            let logits = try #require(ReferenceModel(model: model).logits(text).last)
            let best = try #require(logits.indices.max { logits[$0] < logits[$1] })
            #expect(token == Int32(best))
            text.append(token)
        }
        #expect(answer.tokens.count == 8)
        #expect(answer.result?.reason == .length)
        #expect(answer.result?.promptTokens == 20)
    }

    @Test(arguments: [WeightFormat.float32, .int8])
    func anAnswerIsTheSameAloneAndAmongOthers(_ format: WeightFormat) throws {
        let model = TinyModel(.qwen2).withAdapter(first: 1)
        let requests = Self.requests(model)
        let alone = try requests.map { try model.engine(format).answer($0) }
        // All at once, and joining at different steps; each leaves when it is done.
        for delay in [0, 1, 3] {
            let engine = try model.engine(format) { $0.positionsPerStep = 48 }
            var ids: [SequenceID] = []
            ids.append(try engine.submit(requests[0]))
            let answers = try engine.runToEnd { number in
                while ids.count < requests.count, delay == 0 || number % delay == 0 {
                    ids.append(try engine.submit(requests[ids.count]))
                    if delay > 0 { break }
                }
            }
            for (index, id) in ids.enumerated() {
                #expect(answers[id]?.content == alone[index].content, "request \(index), delay \(delay)")
            }
            #expect(ids.count == requests.count)
            #expect(engine.metrics.pagesInUse == 0)
        }
    }

    @Test func aCommonPrefixIsReadOnce() throws {
        let model = TinyModel()
        let prefix = model.tokens(100, seed: 1)
        let requests = (0..<4).map { SequenceRequest(prefix + model.tokens(5, seed: UInt64(10 + $0))) }
        let alone = try requests.map { try model.engine().answer($0) }
        let engine = try model.engine()
        for (index, request) in requests.enumerated() {
            let answer = try engine.answer(request)
            #expect(answer.content == alone[index].content)
            // Six full pages of 16 are in the common prefix.
            #expect(answer.result?.cachedTokens == (index == 0 ? 0 : 96))
        }
        #expect(engine.metrics.prefixHits == 3)
        #expect(engine.metrics.cachedPromptTokens == 3 * 96)
        #expect(engine.metrics.promptTokens == 4 * 105)
        #expect(engine.metrics.positions < 105 + 3 * 9 + 4 * 12)
    }

    @Test func textsThatBeginTogetherShareTheirPrefix() throws {
        let model = TinyModel()
        let prefix = model.tokens(64, seed: 1)
        let requests = (0..<6).map { SequenceRequest(prefix + model.tokens(5, seed: UInt64(10 + $0))) }
        let alone = try requests.map { try model.engine().answer($0) }
        let engine = try model.engine { $0.positionsPerStep = 256 }
        let ids = try requests.map { try engine.submit($0) }
        let answers = try engine.runToEnd()
        for (index, id) in ids.enumerated() { #expect(answers[id]?.content == alone[index].content) }
        // The prefix once, the rest of each, the answers.
        #expect(engine.metrics.positions <= 64 + 6 * (5 + 12))
    }

    @Test func onlyEqualContextsShareAPrefix() throws {
        let model = TinyModel().withAdapter()
        let tokens = model.tokens(50, seed: 1)
        let contexts = [model.rows(4, seed: 1), model.rows(4, seed: 2)]
        func request(_ context: [Float]?, from start: Int = 0, soft: [Float]? = nil) -> SequenceRequest {
            SequenceRequest(tokens) { ($0.context, $0.contextStart, $0.softPrompt) = (context, start, soft) }
        }
        let engine = try model.engine()
        func cached(_ request: SequenceRequest) throws -> Int? {
            let answer = try engine.answer(request)
            #expect(answer.content == (try model.engine().answer(request)).content)
            return answer.result?.cachedTokens
        }
        #expect(try cached(request(contexts[0])) == 0)
        #expect(try cached(request(contexts[1])) == 0)
        #expect(try cached(request(nil)) == 0)
        #expect(try cached(request(contexts[0])) == 48)
        // What stands before the context's start is read without it: two full pages of 16.
        #expect(try cached(request(contexts[0], from: 40)) == 32)
        #expect(try cached(request(contexts[1], from: 40)) == 32)
        #expect(try cached(request(contexts[1], from: 40)) == 48)
        // A soft prompt moves the whole text.
        #expect(try cached(request(nil, soft: contexts[0])) == 0)
        #expect(try cached(request(contexts[0], soft: contexts[0])) == 0)
        #expect(try cached(request(nil, soft: contexts[0])) == 44)
    }

    @Test func aTinyPoolGivesTheSameAnswers() throws {
        let model = TinyModel().withAdapter(first: 2)
        let requests = Self.requests(model)
        let alone = try requests.map { try model.engine().answer($0) }
        // The longest text takes seven pages.
        let engine = try model.engine { $0.pageCount = 8 }
        let ids = try requests.map { try engine.submit($0) }
        let answers = try engine.runToEnd { _ in
            #expect(engine.metrics.pagesInUse <= 8)
        }
        for (index, id) in ids.enumerated() {
            #expect(answers[id]?.content == alone[index].content, "request \(index)")
        }
        #expect(engine.metrics.preemptions > 0, "the pool was large enough")
        #expect(engine.metrics.pagesInUse == 0)
        #expect(engine.metrics.generatedTokens == alone.reduce(0) { $0 + $1.tokens.count })
    }

    @Test func cancellingFreesPages() throws {
        let model = TinyModel()
        let engine = try model.engine { $0.maximumRunning = 2 }
        let ids = try (0..<3).map { try engine.submit(SequenceRequest(model.tokens(30, seed: $0), maximumTokens: 50)) }
        for _ in 0..<4 { _ = try engine.step() }
        #expect(engine.metrics.running == 2)
        #expect(engine.metrics.waiting == 1)
        engine.cancel(ids[0])
        engine.cancel(ids[2])
        engine.cancel(ids[2])
        #expect(engine.metrics.pagesInUse == 3)
        #expect(engine.metrics.waiting == 0)
        let answers = try engine.runToEnd()
        #expect(answers[ids[0]]?.result?.reason == .cancelled)
        #expect(answers[ids[2]]?.result?.reason == .cancelled)
        #expect(answers[ids[2]]?.result?.waitingTime == nil)
        #expect(answers[ids[1]]?.result?.reason == .length)
        #expect(engine.metrics.pagesInUse == 0)
    }

    @Test func aPassedDeadlineEndsASequence() throws {
        let model = TinyModel()
        var time = ContinuousClock.now
        let engine = try Engine(weights: model.weights(), now: { time })
        let id = try engine.submit(
            SequenceRequest(model.tokens(5, seed: 1), maximumTokens: 100) { $0.deadline = time + .seconds(1) }
        )
        #expect(try !engine.step().isEmpty)
        time += .milliseconds(999)
        #expect(try !engine.step().isEmpty)
        time += .milliseconds(1)
        let events = try engine.step()
        guard case .finished(id, let result)? = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(result.reason == .deadline)
        #expect(result.totalTime == .seconds(1))
        #expect(result.firstTokenTime == .zero)
        #expect(engine.isIdle)
    }

    @Test func logitsThatAreNoNumbersEndTheirSequenceAlone() throws {
        let model = TinyModel().withAdapter()
        let engine = try model.engine()
        let tokens = model.tokens(5, seed: 1)
        let broken = try engine.submit(SequenceRequest(tokens) { $0.context = [Float](repeating: .nan, count: 64) })
        let sound = try engine.submit(SequenceRequest(tokens))
        let answers = try engine.runToEnd()
        #expect(answers[broken]?.result?.reason == .failed(Engine.notNumbers))
        #expect(answers[sound]?.content == (try model.engine().answer(SequenceRequest(tokens))).content)
    }

    @Test func aTokenThatEndsTheAnswerIsNoneOfIt() throws {
        let model = TinyModel()
        let request = SequenceRequest(model.tokens(9, seed: 4), maximumTokens: 30)
        let whole = try model.engine().answer(request).tokens
        let stop = whole[5]
        let answer = try model.engine().answer(SequenceRequest(request.tokens) { $0.stopTokens = [stop] })
        #expect(answer.tokens == Array(whole[..<(whole.firstIndex(of: stop) ?? 0)]))
        #expect(answer.result?.reason == .stop)
        #expect(answer.result?.generatedTokens == answer.tokens.count)
    }

    @Test func logarithmsAreTheModelsOwn() throws {
        let model = TinyModel()
        let prompt = model.tokens(9, seed: 4)
        let engine = try model.engine()
        let id = try engine.submit(
            SequenceRequest(prompt, maximumTokens: 1) {
                $0.logProbabilities = 5
                $0.sampling.logitBias = [3: 100]
            }
        )
        let events = try engine.step()
        guard case .token(id, let token)? = events.first else {
            Issue.record("\(events)")
            return
        }
        let logits = try #require(ReferenceModel(model: model).logits(prompt).last)
        let greatest = try #require(logits.max())
        let logSum = greatest + log(logits.reduce(0) { $0 + exp($1 - greatest) })
        #expect(token.token == 3)
        #expect(abs(Double(try #require(token.logProbability)) - (logits[3] - logSum)) < 1e-4)
        let best = logits.indices.sorted { logits[$0] > logits[$1] }.prefix(5)
        #expect(token.likeliest.map(\.token) == best.map(Int32.init))
        for choice in token.likeliest {
            #expect(abs(Double(choice.logProbability) - (logits[Int(choice.token)] - logSum)) < 1e-4)
        }
    }

    @Test func aTextIsScoredByItsTokens() throws {
        let model = TinyModel(.qwen3)
        let tokens = model.tokens(150, seed: 2)
        let engine = try model.engine { $0.pageCount = 10 }
        let found = try engine.logProbabilities(of: tokens)
        #expect(found.count == 149)
        for (index, row) in ReferenceModel(model: model).logits(tokens).dropLast().enumerated() {
            let greatest = try #require(row.max())
            let logSum = greatest + log(row.reduce(0) { $0 + exp($1 - greatest) })
            #expect(abs(Double(found[index]) - (row[Int(tokens[index + 1])] - logSum)) < 1e-4)
        }
        #expect(engine.metrics.pagesInUse == 0)
        #expect(throws: EngineError.self) { try engine.logProbabilities(of: model.tokens(161, seed: 2)) }
        #expect(throws: EngineError.self) { try engine.logProbabilities(of: [-1]) }
        #expect(throws: EngineError.self) { try engine.logProbabilities(of: []) }
    }

    @Test func whatCanNeverBeServedIsNamed() throws {
        let model = TinyModel()
        let engine = try model.engine { ($0.pageCount, $0.maximumWaiting, $0.maximumRunning) = (4, 1, 1) }
        func field(_ tokens: [Int32] = [1, 2], _ change: (inout SequenceRequest) -> Void = { _ in }) -> String? {
            do throws(EngineError) {
                _ = try engine.submit(SequenceRequest(tokens, change))
                return nil
            } catch {
                guard case .invalid(let field, _, _) = error else { return "\(error)" }
                return field
            }
        }
        #expect(field([]) == "tokens")
        #expect(field([67]) == "tokens")
        #expect(field([-1]) == "tokens")
        #expect(field(model.tokens(64, seed: 1)) == "tokens")
        #expect(field(model.tokens(65, seed: 1)) == "tokens")
        #expect(field(model.tokens(60, seed: 1)) { $0.maximumTokens = 5 } == "max_tokens")
        #expect(field { $0.maximumTokens = 0 } == "max_tokens")
        #expect(field { $0.maximumTokens = .max } == "max_tokens")
        #expect(field { $0.context = [1] } == "context")
        #expect(field { $0.contextStart = -1 } == "contextStart")
        #expect(field { $0.softPrompt = [1] } == "softPrompt")
        #expect(field { $0.stopStrings = ["x"] } == "stop")
        #expect(field { $0.logProbabilities = 65 } == "logprobs")
        #expect(field { $0.sampling.temperature = .nan } == "temperature")
        #expect(field { $0.sampling.topK = -1 } == "top_k")
        #expect(field { $0.sampling.topP = 0 } == "top_p")
        #expect(field { $0.sampling.minP = 1.5 } == "min_p")
        #expect(field { $0.sampling.repetitionPenalty = 0 } == "repetition_penalty")
        #expect(field { $0.sampling.presencePenalty = .infinity } == "presence_penalty")
        #expect(field { $0.sampling.frequencyPenalty = .nan } == "frequency_penalty")
        #expect(field { $0.sampling.logitBias = [67: 1] } == "logit_bias")
        #expect(field { $0.sampling.logitBias = [1: .nan] } == "logit_bias[1]")
        #expect(field() == nil)
        #expect(field() == EngineError.full(waiting: 1).description)
    }

    @Test func settingsAreChecked() throws {
        let model = TinyModel()
        func field(_ change: (inout EngineConfiguration) -> Void) -> String? {
            let error = #expect(throws: EngineError.self) { try model.engine(.float32, change) }
            guard case .invalid(let field, _, _)? = error else { return nil }
            return field
        }
        #expect(field { $0.threads = 0 } == "threads")
        #expect(field { $0.threads = 1_000 } == "threads")
        #expect(field { $0.pagePositions = 20 } == "pagePositions")
        #expect(field { $0.pageCount = 0 } == "pageCount")
        #expect(field { $0.pageCount = .max } == "pageCount")
        #expect(field { $0.positionsPerStep = 0 } == "positionsPerStep")
        #expect(field { $0.maximumRunning = 0 } == "maximumRunning")
        #expect(field { $0.maximumWaiting = -1 } == "maximumWaiting")
    }
}
