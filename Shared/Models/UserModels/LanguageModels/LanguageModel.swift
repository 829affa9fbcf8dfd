public import ModelFiles
public import NeuralNetwork
import Tensors

/// A decoder-only Transformer over text: RMSNorm, rotary positions, grouped-query attention and SwiGLU.
///
/// Weights have Hugging Face's names and layout. A hook may run before each block: that is how a user's context enters,
/// without this model knowing about users.
///
/// Shapes: `B` texts, `T` tokens, `D` width, `V` vocabulary.
/// - Source: Llama 2, arXiv 2307.09288; Qwen2, arXiv 2407.10671.
public final class LanguageModel: WeightedModel, Sendable {
    /// Changes hidden states of texts packed end to end, shape [N, D], before the block of this index.
    public typealias BeforeBlock = (_ graph: Graph, _ block: Int, _ hidden: Variable) -> Variable

    /// One block: attention, then SwiGLU; both pre-norm.
    struct Block: Sendable {
        let attentionNorm: RMSNorm
        var query: Linear, key: Linear, value: Linear, output: Linear
        let feedForwardNorm: RMSNorm
        var gate: Linear, up: Linear, down: Linear

        var parameters: [Parameter] {
            attentionNorm.parameters + query.parameters + key.parameters + value.parameters + output.parameters
                + feedForwardNorm.parameters + gate.parameters + up.parameters + down.parameters
        }
    }

    /// The model's shape.
    public let configuration: LanguageModelConfiguration

    /// What is added to its linear layers, whose weights are not among `parameters`; nil for nothing.
    public let lowRank: LowRankAdapter?

    let tokenTable: Parameter
    let blocks: [Block]
    let finalNorm: RMSNorm
    private let untiedHead: Parameter?

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] {
        [tokenTable] + blocks.flatMap(\.parameters) + finalNorm.parameters + (untiedHead.map { [$0] } ?? [])
    }

    /// The weights of the output head, shape [V, D].
    public var head: Parameter { untiedHead ?? tokenTable }

    /// Makes a language model from its files, whatever types they store its weights in.
    ///
    /// - Throws: `ModelConfigurationError` for a model that is not trained here, or `ModelFileError` naming a weight that
    ///   is missing or not finite.
    public convenience init(_ source: LanguageModelSource) throws {
        var weights = SourceWeights(source)
        try self.init(configuration: source.configuration, weights: &weights)
        try weights.finish()
    }

    /// Makes a language model whose weights come from `weights`.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | token table, untied head | 1 / sqrt(D), so that initial logits are about 1 |
    /// | products | 1 / sqrt(inputs) |
    /// | output projections of attention and SwiGLU | the same / sqrt(2 * layers) |
    /// | norms | gain 1; all biases 0 |
    package init(
        configuration: LanguageModelConfiguration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        try Self.requireSupport(configuration)
        self.configuration = configuration
        let D = configuration.width
        let F = configuration.feedForwardWidth
        let queryWidth = configuration.heads * configuration.headWidth
        let keyWidth = configuration.keyValueHeads * configuration.headWidth
        let biased = configuration.hasInputBiases
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
        lowRank = nil
        finalNorm = RMSNorm("model.norm", D, epsilon: configuration.normEpsilon, &weights)
        untiedHead =
            configuration.tiesEmbeddings
            ? nil : table.parameter("lm_head.weight", [configuration.vocabularySize, D], decay: .joined, &weights)
    }

    /// Another model's parameters, with blocks of its own.
    init(_ model: LanguageModel, blocks: [Block], lowRank: LowRankAdapter?) {
        (configuration, self.blocks, self.lowRank) = (model.configuration, blocks, lowRank)
        (tokenTable, finalNorm, untiedHead) = (model.tokenTable, model.finalNorm, model.untiedHead)
    }

    /// What this model has no layers for: such weights are read by the engine that decodes, which is not trained.
    private static func requireSupport(_ shape: LanguageModelConfiguration) throws(ModelConfigurationError) {
        let (family, scaling, isBiased) = (shape.family, shape.rotaryScaling, shape.attentionBias)
        try require("model_type", family.rawValue, family != .qwen3, "llama or qwen2 in a model that is trained here")
        try require("attention_bias", isBiased, !isBiased, "false in a model that is trained here")
        try require("rope_scaling", "set", scaling == .none, "null in a model that is trained here")
    }

    /// Reads whole texts.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - tokens: shape [B, T]; texts shorter than T are padded at the end with any token.
    ///   - B: number of texts.
    ///   - softPrompt: rows that stand before the embeddings of each text, shape [B, K, D]; nil for none.
    ///   - beforeBlock: runs before each block; nil does nothing.
    /// - Returns: hidden states of the tokens after the final norm, shape [B, T, D]; row t depends only on the soft prompt
    ///   and on tokens up to t.
    public func hidden(
        _ graph: Graph,
        tokens: [Int32],
        count B: Int,
        softPrompt: Variable? = nil,
        beforeBlock: BeforeBlock? = nil
    ) -> Variable {
        precondition(B > 0 && tokens.count % B == 0, "\(tokens.count) tokens do not make \(B) rows")
        let (T, D) = (tokens.count / B, configuration.width)
        let K = softPrompt?.shape[1] ?? 0
        precondition(
            K + T <= configuration.maximumLength,
            "\(K + T) positions exceed the language model's \(configuration.maximumLength)"
        )
        let embedded = embedded(graph, tokens)
        var x = softPrompt.map { joined(graph, $0, embedded) } ?? embedded
        let packing = Packing(lengths: [Int32](repeating: Int32(K + T), count: B))
        x = read(graph, x, packing, blocks: 0..<configuration.layers, beforeBlock: beforeBlock).hidden
        x = normed(graph, x)
        guard K > 0 else { return graph.reshaped(x, [B, T, D]) }
        let rows = (0..<B).flatMap { text -> [Int32] in
            let first = text * (K + T) + K
            return (first..<first + T).map { Int32($0) }
        }
        return graph.reshaped(graph.gatherRows(x, rows), [B, T, D])
    }

    /// The rows of each text's soft prompt, [B, K, D], before those of its tokens, [B * T, D].
    private func joined(_ graph: Graph, _ softPrompt: Variable, _ tokens: Variable) -> Variable {
        let (B, K, D) = (softPrompt.shape[0], softPrompt.shape[1], configuration.width)
        let T = tokens.shape[0] / B
        let all = graph.stacked([graph.reshaped(softPrompt, [B * K, D]), tokens])
        var rows: [Int32] = []
        for text in 0..<B {
            rows += (text * K..<(text + 1) * K).map { Int32($0) }
            rows += (B * K + text * T..<B * K + (text + 1) * T).map { Int32($0) }
        }
        return graph.gatherRows(all, rows)
    }

    /// Logits over the vocabulary, shape [M, V], of hidden states, shape [M, D].
    public func logits(_ graph: Graph, _ hidden: Variable) -> Variable {
        graph.linear(hidden, weight: head, bias: nil)
    }
}
