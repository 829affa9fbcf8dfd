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
    ///   - promptLengths: the number of tokens of each text's prompt, shape [Q].
    /// - Returns: what belongs to the graph, so it must not be used after its `reset()`.
    public func prepare(_ graph: Graph, contexts: Variable, promptLengths: [Int]) -> PreparedContext {
        precondition(contexts.shape[0] == promptLengths.count, "\(contexts.shape) for \(promptLengths.count) texts")
        let projected = projection(graph, contexts)
        return PreparedContext(
            layers: layers.map { (key: $0.key(graph, projected), value: $0.value(graph, projected)) },
            starts: configuration.contextFrom == .firstToken ? nil : promptLengths.map { start(promptLength: $0) },
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
    ///   - x: hidden states of the text, shape [Q, T, D].
    ///   - context: keys and values.
    /// - Returns: shape [Q, T, D]. Bit-identical to `x` while the gate is 0, and at tokens on which no context acts.
    public func beforeBlock(_ graph: Graph, _ block: Int, _ x: Variable, _ context: PreparedContext) -> Variable {
        let (first, every) = (configuration.crossAttentionFrom, configuration.crossAttentionEvery)
        guard !layers.isEmpty, block >= first, (block - first) % every == 0 else { return x }
        let index = (block - first) / every
        let layer = layers[index]
        let attended = graph.attention(
            q: layer.query(graph, layer.norm(graph, x)),
            k: context.layers[index].key,
            v: context.layers[index].value,
            heads: configuration.crossAttentionHeads,
            keyValueHeads: configuration.crossAttentionHeads,
            causal: false,
            keyLengths: nil,
            keyBlocks: nil
        )
        var added = layer.output(graph, attended)
        if let starts = context.starts { added = graph.multiply(added, mask(graph, x.shape, starts)) }
        return graph.gatedAdd(x, added, gate: layer.gate)
    }

    /// 1 at the tokens on which a context acts and 0 before them, of the given shape [Q, T, D].
    private func mask(_ graph: Graph, _ shape: [Int], _ starts: [Int]) -> Variable {
        let (T, D) = (shape[1], shape[2])
        var values = [Float](repeating: 1, count: shape.reduce(1, *))
        for (text, start) in starts.enumerated() {
            let first = text * T * D
            for index in first..<first + min(start, T) * D { values[index] = 0 }
        }
        return graph.constant(values, shape: shape)
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
