import Foundation
import NeuralNetwork
import Tensors

/// Texts that begin alike and are continued side by side, all with one user's context.
///
/// The prompt is read once. Each step adds one token to each text in a single pass.
struct TextDecoding {
    private let graph: Graph
    private let languageModel: LanguageModel
    private let adapter: UserAdapter
    private var context: UserAdapter.PreparedContext
    private var cache: KeyValueCache
    /// Logits of each text's next token, shape [texts, V].
    private var logits: Tensor

    /// Reads a prompt.
    ///
    /// - Parameters:
    ///   - graph: not recording; not reset while this decoding lasts.
    ///   - languageModel: continues the text.
    ///   - adapter: reads the context.
    ///   - context: shape [1, K, d].
    ///   - prompt: at least one token.
    init(
        _ graph: Graph,
        languageModel: LanguageModel,
        adapter: UserAdapter,
        context: Variable,
        prompt: [Int32]
    ) {
        self.graph = graph
        self.languageModel = languageModel
        self.adapter = adapter
        let prepared = adapter.prepare(graph, contexts: context)
        self.context = prepared
        cache = languageModel.makeCache(count: 1)
        let hidden = languageModel.hidden(graph, tokens: prompt, cache: &cache) { graph, block, x in
            adapter.beforeBlock(graph, block, x, prepared)
        }
        logits = graph.tensor(of: languageModel.logits(graph, graph.gatherRows(hidden, [Int32(prompt.count - 1)])))
    }

    /// Continues texts.
    ///
    /// - Parameters:
    ///   - texts: which text so far each new one goes on from; one may be continued in several ways.
    ///   - tokens: the next token of each new text.
    mutating func advance(_ texts: [Int], tokens: [Int32]) {
        cache = cache.selecting(texts)
        context.blocks = [Int32](repeating: 0, count: texts.count)
        let (adapter, context) = (adapter, context)
        let hidden = languageModel.hidden(graph, tokens: tokens, cache: &cache) { graph, block, x in
            adapter.beforeBlock(graph, block, x, context)
        }
        let rows = graph.reshaped(hidden, [texts.count, languageModel.configuration.width])
        logits = graph.tensor(of: languageModel.logits(graph, rows))
    }

    /// Natural logarithms of the probabilities of a text's next token among `allowed`, in their order.
    func logProbabilities(text: Int, allowed: some Collection<Int32>) -> [Float] {
        let row = text * languageModel.configuration.vocabularySize
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

    /// Finds the likeliest answers of a tree.
    ///
    /// A text that has one way on is done at once: the rest of it has probability 1. Of the others the best `width` go
    /// on, less those that can no longer be among the best `width`, as a score only falls. With a width of at least
    /// the number of answers the result is the exact ranking.
    ///
    /// - Parameters:
    ///   - tree: the answers; at least one.
    ///   - width: how many texts are continued side by side, and how many answers are given at most.
    /// - Returns: answers, likeliest first.
    mutating func search(_ tree: RestrictedTree, width: Int) -> [RankedLeaf] {
        var done: [RankedLeaf] = []
        var nodes: [(node: PrefixTree.Node, score: Float)] = [(PrefixTree.root, 0)]
        while true {
            var beams: [Beam] = []
            for (text, (node, score)) in nodes.enumerated() {
                let children = tree.children(of: node)
                let logs = children.count == 1 ? [0] : logProbabilities(text: text, allowed: children.map(\.token))
                for (child, log) in zip(children, logs) {
                    beams.append(Beam(text: text, token: child.token, node: child.node, score: score + log))
                }
            }
            beams.sort { ($0.score, $1.node) > ($1.score, $0.node) }
            // What is below the best 2 * width could not come back into the best: see the bound below.
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
            advance(open.map(\.text), tokens: open.map(\.token))
            nodes = open.map { ($0.node, $0.score) }
        }
    }

    /// Writes freely, token by token.
    ///
    /// - Parameters:
    ///   - count: the most tokens.
    ///   - end: the token that ends the text.
    ///   - forbidden: tokens that are not written.
    ///   - temperature: 0 takes the likeliest token; greater values sample.
    ///   - generator: source of the draws.
    ///   - onToken: called with each token but the end.
    mutating func write(
        atMost count: Int,
        end: Int32,
        forbidden: Set<Int32>,
        temperature: Float,
        using generator: inout some RandomNumberGenerator,
        onToken: (Int32) -> Void
    ) {
        let vocabulary = Int32(languageModel.configuration.vocabularySize)
        let allowed = (0..<vocabulary).filter { !forbidden.contains($0) }
        for index in 0..<count {
            let logs = logProbabilities(text: 0, allowed: allowed)
            let token = allowed[Self.draw(logs, temperature: temperature, using: &generator)]
            if token == end { return }
            onToken(token)
            if index + 1 < count { advance([0], tokens: [token]) }
        }
    }

    /// Draws an index by its logarithmic probability; temperature 0 takes the first of the greatest.
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
