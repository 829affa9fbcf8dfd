import NeuralNetwork
import Testing

@testable import UserModels

/// Texts that share what they have in common.
@Suite struct KeyValueCacheTests {
    private static let prompt = (0..<40).map { Int32($0 * 7 % 50) }

    private let model: LanguageModel
    private let graph = Graph(recording: false, seed: 0)

    init() throws {
        var random = SeededRandom(seed: 5)
        var shape = LanguageModelConfiguration(vocabularySize: 50)
        shape.width = 32
        shape.layers = 2
        shape.headWidth = 8
        shape.keyValueHeads = 2
        shape.feedForwardWidth = 48
        model = try LanguageModel(configuration: shape, using: &random)
    }

    private func promptCache() -> KeyValueCache {
        var cache = model.makeCache(count: 1)
        _ = model.hidden(graph, tokens: Self.prompt, cache: &cache)
        return cache
    }

    @Test func aPromptIsKeptOnceForAllThatGoOnFromIt() {
        var cache = promptCache()
        let tokenCount = model.cachedByteCount / 4
        #expect(cache.numberCount == 40 * tokenCount)
        cache = cache.selecting([Int](repeating: 0, count: 100))
        #expect(cache.count == 100 && cache.length == 40 && cache.numberCount == 40 * tokenCount)
        for step in 1...3 {
            _ = model.hidden(graph, tokens: (0..<100).map { Int32($0 % 50) }, cache: &cache)
            #expect(cache.length == 40 + step && cache.numberCount == (40 + 100 * step) * tokenCount)
            cache = cache.selecting((0..<100).map { $0 / 2 })
        }
    }

    /// So many that their keys are put together some at a time, and forked anew at each token.
    @Test func manyForksEqualTheFullPass() {
        var cache = promptCache()
        var texts = [Self.prompt]
        var outputs: [Float] = []
        for step in 0..<3 {
            let chosen = (0..<1_000).map { $0 * (step + 3) % texts.count }
            let tokens = (0..<1_000).map { Int32(($0 * 11 + step) % 50) }
            cache = cache.selecting(chosen)
            outputs = graph.values(of: model.hidden(graph, tokens: tokens, cache: &cache))
            texts = zip(chosen, tokens).map { texts[$0] + [$1] }
        }
        var worst: Float = 0
        for text in stride(from: 0, to: 1_000, by: 37) {
            let full = graph.values(of: model.hidden(graph, tokens: texts[text], count: 1))
            worst = max(worst, worstDifference(outputs[text * 32..<(text + 1) * 32], full.suffix(32)))
        }
        #expect(worst < 1e-5, "the worst difference is \(worst)")
    }

    @Test func forksOfOneCacheDoNotDisturbEachOther() {
        let cache = promptCache()
        var (one, other) = (cache, cache.selecting([0, 0]))
        let first = graph.values(of: model.hidden(graph, tokens: [3], cache: &one))
        _ = model.hidden(graph, tokens: [9, 11], cache: &other)
        var again = cache
        #expect(graph.values(of: model.hidden(graph, tokens: [3], cache: &again)) == first)
        #expect(cache.length == 40 && one.length == 41 && other.count == 2)
    }

    /// What ends the work leaves the cache as it was.
    @Test func aReadThatIsGivenUpChangesNothing() {
        struct GivenUp: Error {}
        let cache = promptCache()
        for block in 0..<2 {
            var tried = cache
            #expect(throws: GivenUp.self) {
                _ = try model.hidden(graph, tokens: [3], cache: &tried) { (_, index, x) throws(GivenUp) in
                    if index == block { throw GivenUp() }
                    return x
                }
            }
            #expect(tried.length == 40 && tried.numberCount == cache.numberCount)
        }
    }
}
