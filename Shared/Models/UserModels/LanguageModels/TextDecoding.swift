import Foundation
import NeuralNetwork
import Tensors

/// Texts with a common prefix that are continued in parallel, all with one user's context.
///
/// The prompt is read once. Each step adds one token to each text in a single pass.
struct TextDecoding {
    /// Maximum size of a step's logits held at once: a large vocabulary times many texts would be gigabytes.
    static let logitsByteCount = 64 << 20

    private let graph: Graph
    private let languageModel: LanguageModel
    private let adapter: UserAdapter
    private let timer: AnswerTimer
    private let logitsByteCount: Int
    private var context: UserAdapter.PreparedContext
    private var cache: KeyValueCache
    /// Hidden states of each text's last token, shape [texts, D].
    private var states: Variable
    /// Number of tokens each text has beyond the prompt.
    private(set) var stepCount = 0

    /// Reads a prompt.
    ///
    /// - Parameters:
    ///   - graph: not recording; must not be reset during this decoding.
    ///   - languageModel: continues the text.
    ///   - adapter: reads the context.
    ///   - context: shape [1, K, d].
    ///   - prompt: at least one token.
    ///   - timer: checks the time before each block of the language model.
    ///   - logitsByteCount: maximum size of a step's logits held at once.
    /// - Throws: `DecodingStop` when stopped before the prompt is read.
    init(
        _ graph: Graph,
        languageModel: LanguageModel,
        adapter: UserAdapter,
        context: Variable,
        prompt: [Int32],
        timer: AnswerTimer = AnswerTimer(.none),
        logitsByteCount: Int = Self.logitsByteCount
    ) throws(DecodingStop) {
        self.graph = graph
        self.languageModel = languageModel
        self.adapter = adapter
        self.timer = timer
        self.logitsByteCount = logitsByteCount
        let prepared = adapter.prepare(graph, contexts: context)
        self.context = prepared
        cache = languageModel.makeCache(count: 1)
        let hidden = try languageModel.hidden(graph, tokens: prompt, cache: &cache) {
            (graph, block, x) throws(DecodingStop) in
            try timer.check()
            return adapter.beforeBlock(graph, block, x, prepared)
        }
        states = graph.gatherRows(hidden, [Int32(prompt.count - 1)])
    }

    /// Continues texts.
    ///
    /// - Parameters:
    ///   - texts: the existing text that each new one continues; one may be continued in several ways.
    ///   - tokens: the next token of each new text.
    /// - Throws: `DecodingStop` when stopped before that; this decoding must not be used afterwards.
    mutating func advance(_ texts: [Int], tokens: [Int32]) throws(DecodingStop) {
        cache = cache.selecting(texts)
        context.blocks = [Int32](repeating: 0, count: texts.count)
        let (adapter, context, timer) = (adapter, context, timer)
        let hidden = try languageModel.hidden(graph, tokens: tokens, cache: &cache) {
            (graph, block, x) throws(DecodingStop) in
            try timer.check()
            return adapter.beforeBlock(graph, block, x, context)
        }
        states = graph.reshaped(hidden, [texts.count, languageModel.configuration.width])
        stepCount += 1
    }

    /// Natural logarithms of the probabilities of each text's next token among its allowed tokens, in their order.
    func logProbabilities(_ allowed: [[Int32]]) -> [[Float]] {
        let vocabulary = languageModel.configuration.vocabularySize
        let groupCount = max(1, logitsByteCount / (MemoryLayout<Float>.stride * vocabulary))
        var result: [[Float]] = []
        for first in stride(from: 0, to: allowed.count, by: groupCount) {
            let group = first..<min(first + groupCount, allowed.count)
            let rows = group.count == allowed.count ? states : graph.gatherRows(states, group.map(Int32.init))
            let logits = graph.tensor(of: languageModel.logits(graph, rows))
            for text in group {
                result.append(Self.logProbabilities(logits, row: (text - first) * vocabulary, allowed[text]))
            }
        }
        return result
    }

    private static func logProbabilities(_ logits: Tensor, row: Int, _ allowed: [Int32]) -> [Float] {
        if allowed.count == 1 { return [0] }
        let values = allowed.map { logits[row + Int($0)] }
        let greatest = values.max() ?? 0
        let logSum = greatest + log(values.reduce(0) { $0 + exp($1 - greatest) })
        return values.map { $0 - logSum }
    }
}

/// An answer of a tree and the natural logarithm of its probability among all answers of the tree.
struct RankedLeaf: Equatable {
    let leaf: Int
    let score: Float
}

extension TextDecoding {
    private struct Beam {
        let text: Int
        let token: Int32
        let node: PrefixTree.Node
        let score: Float
    }

    /// Finds the most likely answers of a tree by beam search.
    ///
    /// A text with only one possible completion is finished at once: the rest of it has probability 1. Of the others,
    /// the best `width` continue, except those that can no longer be among the best `width`, since scores only
    /// decrease. With a width of at least the number of answers, the result is the exact ranking.
    ///
    /// - Parameters:
    ///   - tree: the answers; at least one.
    ///   - width: the beam width, and the maximum number of answers.
    /// - Returns: answers, most likely first.
    /// - Throws: `DecodingStop` when stopped before that.
    mutating func search(_ tree: RestrictedTree, width: Int) throws(DecodingStop) -> [RankedLeaf] {
        var done: [RankedLeaf] = []
        var nodes: [(node: PrefixTree.Node, score: Float)] = [(PrefixTree.root, 0)]
        while true {
            var beams: [Beam] = []
            let children = nodes.map { tree.children(of: $0.node) }
            let logs = logProbabilities(children.map { $0.map(\.token) })
            for (text, (_, score)) in nodes.enumerated() {
                for (child, log) in zip(children[text], logs[text]) {
                    beams.append(Beam(text: text, token: child.token, node: child.node, score: score + log))
                }
            }
            beams.sort { ($0.score, $1.node) > ($1.score, $0.node) }
            // Anything below the best 2 * width could not get back into the best: see the bound below.
            var open: [Beam] = []
            for beam in beams where open.count < width {
                if done.count >= width, beam.score <= done[width - 1].score { break }
                if let leaf = tree.onlyLeaf(below: beam.node) {
                    let place = done.firstIndex { $0.score < beam.score } ?? done.count
                    done.insert(RankedLeaf(leaf: leaf, score: beam.score), at: place)
                } else {
                    open.append(beam)
                }
            }
            if open.isEmpty { return Array(done.prefix(width)) }
            try advance(open.map(\.text), tokens: open.map(\.token))
            nodes = open.map { ($0.node, $0.score) }
        }
    }

    /// Generates free text, token by token.
    ///
    /// - Parameters:
    ///   - count: maximum number of tokens.
    ///   - end: the token that ends the text.
    ///   - forbidden: tokens that must not be generated.
    ///   - temperature: 0 takes the most likely token; greater values sample.
    ///   - generator: source of the random draws.
    ///   - onToken: called with each token except the end token.
    /// - Throws: `DecodingStop` when stopped before that.
    mutating func write(
        atMost count: Int,
        end: Int32,
        forbidden: Set<Int32>,
        temperature: Float,
        using generator: inout some RandomNumberGenerator,
        onToken: (Int32) -> Void
    ) throws(DecodingStop) {
        let vocabulary = Int32(languageModel.configuration.vocabularySize)
        let allowed = (0..<vocabulary).filter { !forbidden.contains($0) }
        for index in 0..<count {
            let logs = logProbabilities([allowed])[0]
            let token = allowed[Self.draw(logs, temperature: temperature, using: &generator)]
            if token == end { return }
            onToken(token)
            if index + 1 < count { try advance([0], tokens: [token]) }
        }
    }

    /// Samples an index by its log-probability; temperature 0 takes the first maximum.
    static func draw(
        _ logs: [Float],
        temperature: Float,
        using generator: inout some RandomNumberGenerator
    ) -> Int {
        let greatest = logs.max() ?? 0
        if temperature <= 0 { return logs.firstIndex(of: greatest) ?? 0 }
        let weights = logs.map { exp(($0 - greatest) / temperature) }
        var rest = Float.random(in: 0..<1, using: &generator) * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            rest -= weight
            if rest < 0 { return index }
        }
        return weights.lastIndex { $0 > 0 } ?? 0
    }
}
