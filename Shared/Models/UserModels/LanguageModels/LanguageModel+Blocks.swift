import ModelFiles
import NeuralNetwork

/// Reading a part of texts with a part of the blocks: what several texts share is read once, and nothing is padded.
extension LanguageModel {
    /// Texts whose tokens are packed end to end, each after a prefix or from its beginning on.
    struct Packing {
        /// Tokens of each text.
        let lengths: [Int32]
        /// For each text the prefix that stands before it; nil where none has one.
        let prefixes: [Int]?

        /// Texts without prefixes.
        init(lengths: [Int32]) { (self.lengths, prefixes) = (lengths, nil) }

        /// Texts of which each goes on from one of several prefixes.
        init(lengths: [Int32], after prefixes: [Int]) {
            precondition(lengths.count == prefixes.count, "\(prefixes.count) prefixes for \(lengths.count) texts")
            (self.lengths, self.prefixes) = (lengths, prefixes)
        }

        /// Number of tokens of all texts.
        var rows: Int { lengths.reduce(0) { $0 + Int($1) } }
    }

    /// Keys and values of tokens that stand before texts: one prefix, or several of them end to end.
    struct Prefix {
        /// Number of tokens of each, `P` together.
        let lengths: [Int]
        /// For each block that reads on, keys with their rotation and values, both of shape [P, key width].
        let layers: [(key: Variable, value: Variable)]
    }

    /// What blocks make of texts.
    struct Reading {
        /// Hidden states after the last of the blocks, shape [N, D].
        let hidden: Variable
        /// Keys with their rotation and values of each block, each of shape [N, key width].
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
    ///   - x: hidden states before the first of the blocks, shape [N, D].
    ///   - packing: which rows are whose.
    ///   - range: the blocks.
    ///   - prefixes: what `packing` refers to, counted through all of them; read by the same blocks.
    ///   - beforeBlock: runs before each block; nil does nothing.
    /// - Returns: hidden states, and the keys and values of `x` alone.
    func read(
        _ graph: Graph,
        _ x: Variable,
        _ packing: Packing,
        blocks range: Range<Int>,
        after prefixes: [Prefix] = [],
        beforeBlock: BeforeBlock? = nil
    ) -> Reading {
        let keys = KeyRows(packing, prefixes)
        precondition(prefixes.allSatisfy { $0.layers.count == range.count }, "prefixes of other blocks than \(range)")
        precondition(
            keys.lengths.allSatisfy { $0 <= configuration.maximumLength },
            "\(keys.lengths.max() ?? 0) positions exceed the language model's \(configuration.maximumLength)"
        )
        var hidden = x
        var layers: [(key: Variable, value: Variable)] = []
        for (offset, index) in range.enumerated() {
            let block = blocks[index]
            hidden = beforeBlock?(graph, index, hidden) ?? hidden
            let normed = block.attentionNorm(graph, hidden)
            let key = rotated(graph, block.key(graph, normed), configuration.keyValueHeads, keys.positions)
            let value = block.value(graph, normed)
            layers.append((key, value))
            let attended = graph.attention(
                q: rotated(graph, block.query(graph, normed), configuration.heads, keys.positions),
                k: keys.joined(graph, key, prefixes.map { $0.layers[offset].key }),
                v: keys.joined(graph, value, prefixes.map { $0.layers[offset].value }),
                heads: configuration.heads,
                keyValueHeads: configuration.keyValueHeads,
                queryLengths: packing.lengths,
                keyLengths: keys.lengths,
                causal: true
            )
            hidden = graph.add(hidden, block.output(graph, attended))
            let fed = block.feedForwardNorm(graph, hidden)
            let inner = graph.swiGLU(gate: block.gate(graph, fed), up: block.up(graph, fed))
            hidden = graph.add(hidden, block.down(graph, inner))
        }
        return Reading(hidden: hidden, layers: layers)
    }

    /// The keys that each text attends to: those of its prefix, then its own.
    private struct KeyRows {
        let lengths: [Int32]
        /// The position of each of the texts' own tokens.
        let positions: [Int32]
        /// Rows of the prefixes one after the other, followed by the texts' own; nil where there are no prefixes.
        private let rows: [Int32]?

        init(_ packing: Packing, _ prefixes: [Prefix]) {
            guard let chosen = packing.prefixes else {
                (lengths, rows) = (packing.lengths, nil)
                positions = packing.lengths.flatMap { 0..<$0 }
                return
            }
            var starts: [Int32] = [0]
            for length in prefixes.flatMap(\.lengths) { starts.append(starts[starts.count - 1] + Int32(length)) }
            var (lengths, positions, rows) = ([Int32](), [Int32](), [Int32]())
            var own = starts[starts.count - 1]
            for (length, prefix) in zip(packing.lengths, chosen) {
                let before = starts[prefix + 1] - starts[prefix]
                lengths.append(before + length)
                positions += before..<before + length
                rows += starts[prefix]..<starts[prefix + 1]
                rows += own..<own + length
                own += length
            }
            (self.lengths, self.positions, self.rows) = (lengths, positions, rows)
        }

        func joined(_ graph: Graph, _ own: Variable, _ prefixes: [Variable]) -> Variable {
            guard let rows else { return own }
            return graph.gatherRows(graph.stacked(prefixes + [own]), rows)
        }
    }

    private func rotated(_ graph: Graph, _ x: Variable, _ heads: Int, _ positions: [Int32]) -> Variable {
        graph.rotary(x, heads: heads, positions: positions, base: configuration.rotaryBase)
    }
}
