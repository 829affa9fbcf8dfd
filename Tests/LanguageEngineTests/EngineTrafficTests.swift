import LanguageEngine
import ModelFiles
import RandomNumbers
import Testing

/// Random traffic through small pools, compared with each request alone.
@Suite struct EngineTrafficTests {
    /// A request of any kind; few prompts, so that many begin alike.
    private func request(_ model: TinyModel, _ random: inout SeededRandom) -> SequenceRequest {
        let start = model.tokens(40, seed: UInt64(random.below(3))).prefix(random.below(41))
        let tokens = Array(start) + model.tokens(1 + random.below(20), seed: random.next())
        var request = SequenceRequest(tokens, maximumTokens: 1 + random.below(90))
        if random.below(2) == 0 {
            request.sampling.temperature = 0.8
            request.sampling.seed = random.next()
            request.sampling.minP = 0.05
            request.sampling.frequencyPenalty = 0.2
        }
        if random.below(3) == 0 {
            request.context = model.rows(4, seed: UInt64(random.below(2)))
            request.contextStart = random.below(2) == 0 ? 0 : random.below(tokens.count)
        }
        if random.below(6) == 0 { request.softPrompt = model.rows(1 + random.below(4), seed: 5) }
        if random.below(4) == 0 {
            let answers = (0..<12).map { _ in (0..<1 + random.below(4)).map { _ in Int32(random.below(3)) } + [66] }
            request.tree = SmallTree(Set(answers).sorted { $0.lexicographicallyPrecedes($1) })
            if random.below(2) == 0 { request.search = .beams(width: 1 + random.below(4)) }
        }
        return request
    }

    @Test(arguments: 1...6)
    func everyAnswerIsTheOneGivenAlone(_ seed: UInt64) throws {
        let model = TinyModel(seed % 2 == 0 ? .llama : .qwen3, layers: 2).withAdapter(first: 1)
        let format: WeightFormat = seed % 3 == 0 ? .int8 : .float32
        var random = SeededRandom(seed: seed)
        let requests = (0..<30).map { _ in request(model, &random) }
        let engine = try model.engine(format) {
            $0.pageCount = 11
            $0.positionsPerStep = 5 + random.below(60)
            $0.maximumRunning = 4 + random.below(10)
        }
        var ids: [SequenceID] = []
        var cancelled: Set<SequenceID> = []
        ids.append(try engine.submit(requests[0]))
        let answers = try engine.runToEnd { _ in
            let metrics = engine.metrics
            #expect(metrics.pagesInUse + metrics.pagesCached <= metrics.pagesTotal)
            // Some runs get everything at once, so that pages are short.
            while ids.count < requests.count, engine.isIdle || seed % 2 == 1 || random.below(3) == 0 {
                ids.append(try engine.submit(requests[ids.count]))
            }
            if random.below(20) == 0, let id = ids.randomElement(using: &random) {
                engine.cancel(id)
                cancelled.insert(id)
            }
        }
        #expect(answers.count == requests.count)
        for (id, request) in zip(ids, requests) {
            if answers[id]?.result?.reason == .cancelled {
                #expect(cancelled.contains(id))
                continue
            }
            let alone = try model.engine(format).answer(request)
            #expect(answers[id]?.content == alone.content)
            #expect(answers[id]?.result?.ranking == alone.result?.ranking)
            #expect(answers[id]?.result?.leaf == alone.result?.leaf)
        }
        let metrics = engine.metrics
        print("traffic \(seed): \(metrics.preemptions) preemptions, \(metrics.prefixHits) prefix hits")
        #expect(metrics.preemptions > 0, "pages never ran out")
        #expect(metrics.pagesInUse == 0)
        #expect(metrics.running == 0 && metrics.waiting == 0)
    }
}
