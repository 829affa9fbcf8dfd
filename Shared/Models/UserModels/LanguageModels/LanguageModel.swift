public import NeuralNetwork
public import Tensors

/// A decoder-only Transformer over text: RMSNorm, rotary positions, grouped-query attention and SwiGLU.
///
/// Weights have Hugging Face's names and layout. A hook may run before each block: that is how a user's context enters,
/// without this model knowing about users.
///
/// Shapes: `B` texts, `T` tokens, `D` width, `V` vocabulary.
/// - Source: Llama 2, arXiv 2307.09288; Qwen2, arXiv 2407.10671.
public final class LanguageModel: Module, Sendable {
    /// Changes hidden states, shape [B, T, D], before the block of this index.
    public typealias BeforeBlock = (_ graph: Graph, _ block: Int, _ hidden: Variable) -> Variable

    /// One block: attention, then SwiGLU; both pre-norm.
    struct Block: Sendable {
        let attentionNorm: RMSNorm
        let query: Linear, key: Linear, value: Linear, output: Linear
        let feedForwardNorm: RMSNorm
        let gate: Linear, up: Linear, down: Linear

        var parameters: [Parameter] {
            attentionNorm.parameters + query.parameters + key.parameters + value.parameters + output.parameters
                + feedForwardNorm.parameters + gate.parameters + up.parameters + down.parameters
        }
    }

    /// The model's shape.
    public let configuration: LanguageModelConfiguration

    private let tokenTable: Parameter
    private let blocks: [Block]
    private let finalNorm: RMSNorm
    private let untiedHead: Parameter?

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] {
        [tokenTable] + blocks.flatMap(\.parameters) + finalNorm.parameters + (untiedHead.map { [$0] } ?? [])
    }

    /// The weights of the output head, shape [V, D].
    public var head: Parameter { untiedHead ?? tokenTable }

    /// Makes a language model with random weights.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | token table, untied head | 1 / sqrt(D), so that initial logits are about 1 |
    /// | products | 1 / sqrt(inputs) |
    /// | output projections of attention and SwiGLU | the same / sqrt(2 * layers) |
    /// | norms | gain 1; all biases 0 |
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public convenience init(
        configuration: LanguageModelConfiguration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        var drawn = DrawnWeights(generator)
        defer { generator = drawn.generator }
        try self.init(configuration: configuration, weights: &drawn)
    }

    /// Makes a language model from the weights in a file, after checking their names and shapes.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the
    ///   weight that is missing, unexpected, of another shape or not finite.
    public convenience init(configuration: LanguageModelConfiguration, weights file: SafeTensors) throws {
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in
            _ = try Self(configuration: configuration, weights: &declared)
        }
        try self.init(configuration: configuration, weights: &stored)
        try stored.finish()
    }

    /// Makes a language model whose weights come from `weights`.
    init(
        configuration: LanguageModelConfiguration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        self.configuration = configuration
        let D = configuration.width
        let F = configuration.feedForwardWidth
        let queryWidth = configuration.heads * configuration.headWidth
        let keyWidth = configuration.keyValueHeads * configuration.headWidth
        let biased = configuration.family == .qwen2
        let last = 1 / Float(2 * configuration.layers).squareRoot()
        let table = Filling.normal(1 / Float(D).squareRoot())
        tokenTable = table.parameter(
            "model.embed_tokens.weight",
            [configuration.vocabularySize, D],
            decay: .never,
            &weights
        )
        var blocks: [Block] = []
        for index in 0..<configuration.layers {
            let name = "model.layers.\(index)"
            let epsilon = configuration.normEpsilon
            blocks.append(
                Block(
                    attentionNorm: RMSNorm("\(name).input_layernorm", D, epsilon: epsilon, &weights),
                    query: Linear("\(name).self_attn.q_proj", from: D, to: queryWidth, bias: biased, &weights),
                    key: Linear("\(name).self_attn.k_proj", from: D, to: keyWidth, bias: biased, &weights),
                    value: Linear("\(name).self_attn.v_proj", from: D, to: keyWidth, bias: biased, &weights),
                    output: Linear(
                        "\(name).self_attn.o_proj",
                        from: queryWidth,
                        to: D,
                        bias: false,
                        scale: last,
                        &weights
                    ),
                    feedForwardNorm: RMSNorm("\(name).post_attention_layernorm", D, epsilon: epsilon, &weights),
                    gate: Linear("\(name).mlp.gate_proj", from: D, to: F, bias: false, &weights),
                    up: Linear("\(name).mlp.up_proj", from: D, to: F, bias: false, &weights),
                    down: Linear("\(name).mlp.down_proj", from: F, to: D, bias: false, scale: last, &weights)
                )
            )
        }
        self.blocks = blocks
        finalNorm = RMSNorm("model.norm", D, epsilon: configuration.normEpsilon, &weights)
        untiedHead =
            configuration.tiesEmbeddings
            ? nil : table.parameter("lm_head.weight", [configuration.vocabularySize, D], decay: .joined, &weights)
    }

    /// Reads whole texts.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - tokens: shape [B, T]; texts shorter than T are padded at the end with any token.
    ///   - count: number of texts, B.
    ///   - beforeBlock: runs before each block; nil does nothing.
    /// - Returns: hidden states after the final norm, shape [B, T, D]; row t depends only on tokens up to t.
    public func hidden(
        _ graph: Graph,
        tokens: [Int32],
        count: Int,
        beforeBlock: BeforeBlock? = nil
    ) -> Variable {
        let beforeBlock = beforeBlock ?? { _, _, x in x }
        return forward(graph, tokens: tokens, count: count, start: 0, beforeBlock: beforeBlock) { _, q, k, v in
            attention(graph, q, k, v, causal: true)
        }
    }

    /// Reads further tokens of texts whose earlier tokens are in a cache, and adds the new ones to it.
    ///
    /// - Parameters:
    ///   - graph: runs the operations; not recording.
    ///   - tokens: shape [B, T]. T is 1 unless the cache is empty.
    ///   - cache: keys and values of the earlier tokens of B texts.
    /// - Returns: hidden states of the new tokens after the final norm, shape [B, T, D].
    public func hidden(_ graph: Graph, tokens: [Int32], cache: inout KeyValueCache) -> Variable {
        hidden(graph, tokens: tokens, cache: &cache) { _, _, x in x }
    }

    /// The same with a hook before each block, which may abort: the cache is then unchanged.
    ///
    /// - Parameters:
    ///   - graph: runs the operations; not recording.
    ///   - tokens: shape [B, T]. T is 1 unless the cache is empty.
    ///   - cache: keys and values of the earlier tokens of B texts.
    ///   - beforeBlock: changes hidden states, shape [B, T, D], before the block of this index.
    /// - Returns: hidden states of the new tokens after the final norm, shape [B, T, D].
    /// - Throws: what `beforeBlock` throws.
    public func hidden<Failure: Error>(
        _ graph: Graph,
        tokens: [Int32],
        cache: inout KeyValueCache,
        beforeBlock: (_ graph: Graph, _ block: Int, _ hidden: Variable) throws(Failure) -> Variable
    ) throws(Failure) -> Variable {
        let B = cache.count
        let T = tokens.count / B
        let start = cache.length
        precondition(T == 1 || start == 0, "\(T) tokens at once follow \(start) cached ones; only one may")
        var added: [KeyValueCache.Layer] = []
        let result = try forward(graph, tokens: tokens, count: B, start: start, beforeBlock: beforeBlock) {
            layer,
            q,
            k,
            v in
            let new = KeyValueCache.Layer(keys: graph.values(of: k), values: graph.values(of: v))
            added.append(new)
            return start == 0
                ? attention(graph, q, k, v, causal: true) : attention(graph, q, layer: layer, newest: new, in: cache)
        }
        if start == 0 { cache.begin(with: added, tokens: T) } else { cache.append(added) }
        return result
    }

    /// Maximum size of one layer's keys and values gathered at once.
    private static let joinedByteCount = 4 << 20

    /// Attention of one new token of each text, [B, 1, heads * dh], to all of its tokens.
    ///
    /// Keys are gathered for a few texts at a time, so that the shared part is not copied for all of them at once.
    private func attention(
        _ graph: Graph,
        _ q: Variable,
        layer: Int,
        newest: KeyValueCache.Layer,
        in cache: KeyValueCache
    ) -> Variable {
        let (B, T) = (cache.count, cache.length + 1)
        let groupCount = max(1, Self.joinedByteCount / (2 * 4 * T * cache.width))
        let parts = stride(from: 0, to: B, by: groupCount).map { first in
            let group = first..<min(first + groupCount, B)
            let joined = cache.joined(layer: layer, newest: newest, of: group)
            let shape = [group.count, T, cache.width]
            return attention(
                graph,
                group.count == B ? q : graph.gatherBlocks(q, group.map(Int32.init)),
                graph.constant(joined.keys, shape: shape),
                graph.constant(joined.values, shape: shape),
                causal: false
            )
        }
        return graph.reshaped(graph.stacked(parts), q.shape)
    }

    private func attention(_ graph: Graph, _ q: Variable, _ k: Variable, _ v: Variable, causal: Bool) -> Variable {
        graph.attention(
            q: q,
            k: k,
            v: v,
            heads: configuration.heads,
            keyValueHeads: configuration.keyValueHeads,
            causal: causal,
            keyLengths: nil,
            keyBlocks: nil
        )
    }

    /// Logits over the vocabulary, shape [M, V], of hidden states, shape [M, D].
    public func logits(_ graph: Graph, _ hidden: Variable) -> Variable {
        graph.linear(hidden, weight: head, bias: nil)
    }

    /// An empty cache for this many texts.
    public func makeCache(count: Int) -> KeyValueCache {
        KeyValueCache(
            count: count,
            width: configuration.keyValueHeads * configuration.headWidth
        )
    }

    /// Cache size per token and text, in bytes.
    var cachedByteCount: Int {
        2 * configuration.layers * configuration.keyValueHeads * configuration.headWidth * MemoryLayout<Float>.stride
    }

    private func forward<Failure: Error>(
        _ graph: Graph,
        tokens: [Int32],
        count B: Int,
        start: Int,
        beforeBlock: (_ graph: Graph, _ block: Int, _ hidden: Variable) throws(Failure) -> Variable,
        attend: (_ layer: Int, _ q: Variable, _ k: Variable, _ v: Variable) -> Variable
    ) throws(Failure) -> Variable {
        precondition(B > 0 && tokens.count % B == 0, "\(tokens.count) tokens do not make \(B) rows")
        let T = tokens.count / B
        precondition(
            start + T <= configuration.maximumLength,
            "\(start + T) tokens exceed the language model's \(configuration.maximumLength)"
        )
        let positions = (0..<B).flatMap { _ in (start..<start + T).map(Int32.init) }
        var x = graph.reshaped(graph.embedding(tokenTable, tokens), [B, T, configuration.width])
        for (index, block) in blocks.enumerated() {
            x = try beforeBlock(graph, index, x)
            let normed = block.attentionNorm(graph, x)
            let q = rotated(graph, block.query(graph, normed), configuration.heads, positions)
            let k = rotated(graph, block.key(graph, normed), configuration.keyValueHeads, positions)
            let attended = attend(index, q, k, block.value(graph, normed))
            x = graph.add(x, block.output(graph, attended))
            let fed = block.feedForwardNorm(graph, x)
            let inner = graph.swiGLU(gate: block.gate(graph, fed), up: block.up(graph, fed))
            x = graph.add(x, block.down(graph, inner))
        }
        return finalNorm(graph, x)
    }

    private func rotated(_ graph: Graph, _ x: Variable, _ heads: Int, _ positions: [Int32]) -> Variable {
        graph.rotary(x, heads: heads, positions: positions, base: configuration.rotaryBase)
    }
}
