import ModelFiles
import NeuralNetwork

/// Reading a part of a text with a part of the blocks: what several texts share is read once.
extension LanguageModel {
    /// Keys and values of the tokens that stand before several texts, the same for all of them.
    ///
    /// For each block that goes on from them, keys with their rotation and values, both of shape [P, key width].
    struct Prefix {
        /// Number of tokens, `P`.
        let length: Int
        /// One for each block that reads on.
        let layers: [(key: Variable, value: Variable)]
    }

    /// What blocks make of texts.
    struct Reading {
        /// Hidden states after the last of the blocks, shape [B, T, D].
        let hidden: Variable
        /// Keys with their rotation and values of each block, each of shape [B, T, key width].
        let layers: [(key: Variable, value: Variable)]
    }

    /// The embeddings of tokens, shape [N, D].
    func embedded(_ graph: Graph, _ tokens: [Int32]) -> Variable { graph.embedding(tokenTable, tokens) }

    /// Hidden states after the final norm, of the shape of `x`.
    func normed(_ graph: Graph, _ x: Variable) -> Variable { finalNorm(graph, x) }

    /// Whether nothing is trained of what embeds tokens or is in the given blocks.
    func isFrozen(_ range: Range<Int>) -> Bool {
        let updates = lowRank?.parameters(ofBlocks: range) ?? []
        return !tokenTable.isTrainable
            && (blocks[range].flatMap(\.parameters) + updates).allSatisfy { !$0.isTrainable }
    }

    /// Runs some of the blocks.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - x: hidden states before the first of the blocks, shape [B, T, D].
    ///   - range: the blocks.
    ///   - prefix: what stands before each of the texts, read by the same blocks; nil for nothing.
    ///   - beforeBlock: runs before each block; nil does nothing.
    /// - Returns: hidden states, and the keys and values of `x` alone.
    func read(
        _ graph: Graph,
        _ x: Variable,
        blocks range: Range<Int>,
        after prefix: Prefix? = nil,
        beforeBlock: BeforeBlock? = nil
    ) -> Reading {
        let (B, T) = (x.shape[0], x.shape[1])
        let start = prefix?.length ?? 0
        precondition(prefix.map { $0.layers.count == range.count } ?? true, "a prefix of other blocks than \(range)")
        precondition(
            start + T <= configuration.maximumLength,
            "\(start + T) positions exceed the language model's \(configuration.maximumLength)"
        )
        let positions = (0..<B).flatMap { _ in (start..<start + T).map(Int32.init) }
        var hidden = x
        var layers: [(key: Variable, value: Variable)] = []
        for (offset, index) in range.enumerated() {
            let block = blocks[index]
            hidden = beforeBlock?(graph, index, hidden) ?? hidden
            let normed = block.attentionNorm(graph, hidden)
            let key = rotated(graph, block.key(graph, normed), configuration.keyValueHeads, positions)
            let value = block.value(graph, normed)
            layers.append((key, value))
            let before = prefix?.layers[offset]
            let attended = graph.attention(
                q: rotated(graph, block.query(graph, normed), configuration.heads, positions),
                k: before.map { preceded(graph, key, by: $0.key) } ?? key,
                v: before.map { preceded(graph, value, by: $0.value) } ?? value,
                heads: configuration.heads,
                keyValueHeads: configuration.keyValueHeads,
                causal: true,
                keyLengths: nil,
                keyBlocks: nil
            )
            hidden = graph.add(hidden, block.output(graph, attended))
            let fed = block.feedForwardNorm(graph, hidden)
            let inner = graph.swiGLU(gate: block.gate(graph, fed), up: block.up(graph, fed))
            hidden = graph.add(hidden, block.down(graph, inner))
        }
        return Reading(hidden: hidden, layers: layers)
    }

    /// The rows of `prefix`, [P, w], before those of each of `count` texts, [count * T, w]: [count, P + T, w].
    static func preceded(_ graph: Graph, _ x: Variable, of count: Int, by prefix: Variable) -> Variable {
        let (P, T) = (Int32(prefix.shape[0]), Int32(x.shape[0] / count))
        let all = graph.stacked([prefix, x])
        var rows: [Int32] = []
        rows.reserveCapacity(count * Int(P + T))
        for text in 0..<Int32(count) {
            rows += 0..<P
            rows += P + text * T..<P + (text + 1) * T
        }
        return graph.reshaped(graph.gatherRows(all, rows), [count, Int(P + T), x.shape[1]])
    }

    private func preceded(_ graph: Graph, _ x: Variable, by prefix: Variable) -> Variable {
        let (B, T, w) = (x.shape[0], x.shape[1], x.shape[2])
        return Self.preceded(graph, graph.reshaped(x, [B * T, w]), of: B, by: prefix)
    }

    private func rotated(_ graph: Graph, _ x: Variable, _ heads: Int, _ positions: [Int32]) -> Variable {
        graph.rotary(x, heads: heads, positions: positions, base: configuration.rotaryBase)
    }
}
