import Foundation
package import LanguageEngine
package import ModelFiles
public import NeuralNetwork
import Tensors

/// Connects a user encoder and a language model: Perceiver, projection, and gated cross-attention or a soft prompt.
///
/// The Perceiver's output, shape [K, d], is a user's context: it is transmitted and stored. Projection and
/// cross-attention run where the context is read.
///
/// Shapes: `Q` texts, `T` tokens, `K` context rows, `d` encoder width, `D` language-model width, `I` inner width of
/// cross-attention.
/// - Source: User-LLM, arXiv 2402.13598; gates of Flamingo, arXiv 2204.14198.
public final class UserAdapter: WeightedModel, Sendable {
    /// The text attends to the context; a gate scales what is added.
    struct CrossAttention: Sendable {
        let norm: RMSNorm
        let query: Linear, key: Linear, value: Linear, output: Linear
        let gate: Parameter

        var parameters: [Parameter] {
            norm.parameters + query.parameters + key.parameters + value.parameters + output.parameters + [gate]
        }
    }

    /// Contexts, projected and ready for all tokens of their texts.
    public struct PreparedContext {
        /// Per cross-attention layer, each of shape [texts, K, I].
        let layers: [(key: Variable, value: Variable)]
        /// For each text, the first token on which the context acts; nil when it acts on all.
        let starts: [Int]?
        /// Tokens of each text; nil when all have as many.
        let lengths: [Int32]?
        /// The rows that stand before the texts' embeddings, shape [texts, K, D]; nil with cross-attention.
        public let softPrompt: Variable?
    }

    /// The shape.
    public let configuration: Configuration
    /// Turns encoded events into a context.
    public let perceiver: Perceiver

    private let projection: Linear
    /// The layer before each block of `configuration.crossAttentionBlocks`.
    private let layers: [CrossAttention]

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] {
        perceiver.parameters + projection.parameters + layers.flatMap(\.parameters)
    }

    /// The gates, which have their own learning rate.
    public var gates: [Parameter] { layers.map(\.gate) }

    /// Makes an adapter whose weights come from `weights`.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | projection, query, key, value, output | 1 / sqrt(inputs) |
    /// | projection to a soft prompt | 1 / sqrt(inputs * D), so that its rows are about as long as a token's embedding |
    /// | norms | gain 1; biases 0 |
    /// | gates | atanh(`gateOpening`), not random |
    package init(
        configuration: Configuration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        let (D, I) = (configuration.languageModelWidth, configuration.innerWidth)
        self.configuration = configuration
        perceiver = try Perceiver(configuration: configuration.perceiver, weights: &weights)
        let scale = configuration.kind == .softPrompt ? 1 / Float(D).squareRoot() : 1
        projection = Linear(
            "projection",
            from: configuration.perceiver.width,
            to: D,
            bias: true,
            scale: scale,
            &weights
        )
        let start = Float(atanh(Double(configuration.gateOpening)))
        var layers: [CrossAttention] = []
        for block in configuration.crossAttentionBlocks {
            let name = Self.layerName(block)
            layers.append(
                CrossAttention(
                    norm: RMSNorm("\(name).norm", D, epsilon: Self.normEpsilon, &weights),
                    query: Linear("\(name).query", from: D, to: I, bias: false, &weights),
                    key: Linear("\(name).key", from: D, to: I, bias: false, &weights),
                    value: Linear("\(name).value", from: D, to: I, bias: false, &weights),
                    output: Linear("\(name).output", from: I, to: D, bias: false, &weights),
                    gate: Filling.constant(start).parameter("\(name).gate", [1], decay: .never, &weights)
                )
            )
        }
        self.layers = layers
    }

    /// Epsilon of the norms before cross-attention.
    static let normEpsilon: Float = 1e-5

    private static func layerName(_ block: Int) -> String { "cross_attention.\(block)" }

    // MARK: - In a graph

    /// Projects contexts and computes the keys and values of every cross-attention layer.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - contexts: the Perceiver's output, one for each text, shape [Q, K, d].
    ///   - promptLengths: the number of tokens of each text's prompt, shape [Q]; nil where the context acts on every token
    ///     that is read.
    ///   - lengths: tokens of each text that are read, shape [Q]; nil when all have as many.
    /// - Returns: what belongs to the graph, so it must not be used after its `reset()`.
    public func prepare(
        _ graph: Graph,
        contexts: Variable,
        promptLengths: [Int]?,
        lengths: [Int32]? = nil
    ) -> PreparedContext {
        let count = promptLengths?.count ?? contexts.shape[0]
        precondition(contexts.shape[0] == count, "\(contexts.shape) for \(count) texts")
        let projected = projection(graph, contexts)
        return PreparedContext(
            layers: layers.map { (key: $0.key(graph, projected), value: $0.value(graph, projected)) },
            starts: configuration.contextFrom == .firstToken
                ? nil : promptLengths.map { $0.map { start(promptLength: $0) } },
            lengths: lengths,
            softPrompt: configuration.kind == .softPrompt ? projected : nil
        )
    }

    /// The first token of a text on which the context acts.
    package func start(promptLength: Int) -> Int {
        configuration.contextFrom == .firstToken ? 0 : max(promptLength - 1, 0)
    }

    /// Cross-attention before a block of the language model: `x + tanh(gate) * CrossAttention(norm(x), context)`.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - block: the block's index; if no layer comes before it, `x` is returned.
    ///   - x: hidden states of the texts, packed end to end, shape [N, D].
    ///   - context: keys and values.
    /// - Returns: shape [N, D]. Bit-identical to `x` while the gate is 0, and at tokens on which no context acts.
    public func beforeBlock(_ graph: Graph, _ block: Int, _ x: Variable, _ context: PreparedContext) -> Variable {
        let (first, every) = (configuration.crossAttentionFrom, configuration.crossAttentionEvery)
        guard !layers.isEmpty, block >= first, (block - first) % every == 0 else { return x }
        let index = (block - first) / every
        let layer = layers[index]
        let (key, value) = context.layers[index]
        let (Q, K, I) = (key.shape[0], key.shape[1], key.shape[2])
        let lengths = context.lengths ?? [Int32](repeating: Int32(x.shape[0] / Q), count: Q)
        let attended = graph.attention(
            q: layer.query(graph, layer.norm(graph, x)),
            k: graph.reshaped(key, [Q * K, I]),
            v: graph.reshaped(value, [Q * K, I]),
            heads: configuration.crossAttentionHeads,
            keyValueHeads: configuration.crossAttentionHeads,
            queryLengths: lengths,
            keyLengths: [Int32](repeating: Int32(K), count: Q),
            causal: false
        )
        var added = layer.output(graph, attended)
        if let starts = context.starts { added = graph.multiply(added, mask(graph, x.shape[1], starts, lengths)) }
        return graph.gatedAdd(x, added, gate: layer.gate)
    }

    /// 1 at the tokens on which a context acts and 0 before them, for rows of D values.
    private func mask(_ graph: Graph, _ D: Int, _ starts: [Int], _ lengths: [Int32]) -> Variable {
        var values: [Float] = []
        for (start, length) in zip(starts, lengths) {
            let before = min(start, Int(length))
            values += repeatElement(0, count: before * D)
            values += repeatElement(1, count: (Int(length) - before) * D)
        }
        return graph.constant(values, shape: [values.count / D, D])
    }

    // MARK: - For the engine

    /// The rows that the language model reads for a context, without a graph.
    ///
    /// - Parameter context: the Perceiver's output, shape [K, d].
    /// - Returns: shape [K, D].
    package func projected(_ context: [Float]) -> [Float] {
        let (d, D) = (configuration.perceiver.width, configuration.languageModelWidth)
        let weight = projection.weight.value.values
        let bias = projection.bias?.value.values ?? [Float](repeating: 0, count: D)
        var result: [Float] = []
        result.reserveCapacity(context.count / d * D)
        for row in stride(from: 0, to: context.count, by: d) {
            for output in 0..<D {
                var sum = bias[output]
                for input in 0..<d { sum += weight[output * d + input] * context[row + input] }
                result.append(sum)
            }
        }
        return result
    }

    /// The layers of cross-attention, packed for inference; nil for a soft prompt.
    ///
    /// - Throws: `EngineError` or `LanguageModelWeightsError` naming what cannot be packed.
    package func weights() throws -> AdapterWeights? {
        guard configuration.kind == .crossAttention else { return nil }
        var shape = AdapterWeights.Configuration(
            width: configuration.languageModelWidth,
            layers: configuration.languageModelLayers,
            first: configuration.crossAttentionFrom,
            every: configuration.crossAttentionEvery,
            heads: configuration.crossAttentionHeads,
            innerWidth: configuration.innerWidth
        )
        shape.normEpsilon = Self.normEpsilon
        let parameters = Dictionary(uniqueKeysWithValues: layers.flatMap(\.parameters).map { ($0.name, $0.value) })
        return try AdapterWeights(configuration: shape) { parameters[$0]?.values }
    }
}
