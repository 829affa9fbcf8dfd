import Foundation
public import NeuralNetwork
import Tensors

/// What joins a user encoder and a language model: Perceiver, projection and gated cross-attention.
///
/// The Perceiver's output, shape [K, d], is a user's context: it travels and is stored. Projection and cross-attention
/// belong to whoever reads it.
///
/// Shapes: `Q` texts, `T` tokens, `K` context rows, `d` encoder width, `D` language-model width.
/// - Source: User-LLM, arXiv 2402.13598; gates of Flamingo, arXiv 2204.14198.
public final class UserAdapter: Module, Sendable {
    /// The shape, saved beside the weights.
    public struct Configuration: Codable, Sendable, Equatable {
        /// The Perceiver's shape.
        public var perceiver: Perceiver.Configuration
        /// Width of the language model, `D`.
        public var languageModelWidth: Int
        /// Blocks of the language model.
        public var languageModelLayers: Int
        /// Cross-attention stands before every n-th block, the first included.
        public var crossAttentionEvery = 1
        /// Heads of the cross-attention; they divide `languageModelWidth`.
        public var crossAttentionHeads = 4
        /// How far the gates are open before training, tanh(a), from 0 to below 1.
        ///
        /// 0 leaves a finished language model unharmed (strategies `enc` and `proj`). Where the language model learns
        /// along, start open: a gate at 0 hardly opens by itself.
        public var gateOpening: Float = 0
        /// Factor on the learning rate of the gates.
        public var gateLearningRateScale: Float = 10

        /// The default shape between an encoder and a language model.
        public init(
            encoder: AutoregressiveEncoder.Configuration,
            languageModel: LanguageModelConfiguration
        ) {
            perceiver = Perceiver.Configuration(width: encoder.width)
            languageModelWidth = languageModel.width
            languageModelLayers = languageModel.layers
        }
    }

    /// Text attends to the context; a gate decides how much of it is added.
    struct CrossAttention: Sendable {
        let norm: RMSNorm
        let query: Linear, key: Linear, value: Linear, output: Linear
        let gate: Parameter

        var parameters: [Parameter] {
            norm.parameters + query.parameters + key.parameters + value.parameters + output.parameters + [gate]
        }
    }

    /// Keys and values of contexts, computed once for all tokens of an answer.
    public struct PreparedContext {
        /// Per cross-attention layer, each of shape [contexts, K, D].
        let layers: [(key: Variable, value: Variable)]
        /// Which context each text reads; nil is its own.
        var blocks: [Int32]?
    }

    /// The shape.
    public let configuration: Configuration
    /// Turns encoded events into a context.
    public let perceiver: Perceiver

    private let projection: Linear
    private let layers: [CrossAttention]

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] {
        perceiver.parameters + projection.parameters + layers.flatMap(\.parameters)
    }

    /// The gates, which have a learning rate of their own.
    public var gates: [Parameter] { layers.map(\.gate) }

    /// Makes an adapter with random weights.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | projection, query, key, value | 1 / sqrt(inputs) |
    /// | output of cross-attention | 1 / sqrt(D) |
    /// | norms | gain 1; biases 0 |
    /// | gates | atanh(`gateOpening`), not drawn |
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public init(
        configuration: Configuration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        let D = configuration.languageModelWidth
        let heads = configuration.crossAttentionHeads
        let every = configuration.crossAttentionEvery
        let opening = configuration.gateOpening
        try require("adapter.crossAttentionHeads", heads, heads > 0 && D % heads == 0, "a divisor of the width \(D)")
        try require("adapter.crossAttentionEvery", every, every > 0, "at least 1")
        try require("adapter.gateOpening", opening, (0..<1).contains(opening), "from 0 to below 1")
        self.configuration = configuration
        perceiver = try Perceiver(configuration: configuration.perceiver, using: &generator)
        projection = Linear("projection", from: configuration.perceiver.width, to: D, bias: true, &generator)
        let start = Float(atanh(Double(opening)))
        var layers: [CrossAttention] = []
        for block in stride(from: 0, to: configuration.languageModelLayers, by: every) {
            let name = "cross_attention.\(block)"
            layers.append(
                CrossAttention(
                    norm: RMSNorm("\(name).norm", D, epsilon: 1e-5, &generator),
                    query: Linear("\(name).query", from: D, to: D, bias: false, &generator),
                    key: Linear("\(name).key", from: D, to: D, bias: false, &generator),
                    value: Linear("\(name).value", from: D, to: D, bias: false, &generator),
                    output: Linear("\(name).output", from: D, to: D, bias: false, &generator),
                    gate: Filling.constant(start).parameter("\(name).gate", [1], &generator)
                )
            )
        }
        self.layers = layers
    }

    /// Projects contexts and computes the keys and values of every cross-attention layer.
    ///
    /// - Parameters:
    ///   - graph: where the work is recorded.
    ///   - contexts: what the Perceiver gave, shape [C, K, d].
    ///   - blocks: which context each text reads; nil is its own.
    /// - Returns: keys and values; of the same graph, so not to be used after its `reset()`.
    public func prepare(_ graph: Graph, contexts: Variable, blocks: [Int32]? = nil) -> PreparedContext {
        let projected = projection(graph, contexts)
        return PreparedContext(
            layers: layers.map { (key: $0.key(graph, projected), value: $0.value(graph, projected)) },
            blocks: blocks
        )
    }

    /// Cross-attention before a block of the language model: `x + tanh(gate) * CrossAttention(norm(x), context)`.
    ///
    /// - Parameters:
    ///   - graph: where the work is recorded.
    ///   - block: the block's index; where no layer stands before it, `x` is given back.
    ///   - x: hidden states of the text, shape [Q, T, D].
    ///   - context: keys and values.
    /// - Returns: shape [Q, T, D]. Equals `x` bit by bit while the gate is 0.
    public func beforeBlock(_ graph: Graph, _ block: Int, _ x: Variable, _ context: PreparedContext) -> Variable {
        guard block % configuration.crossAttentionEvery == 0 else { return x }
        let index = block / configuration.crossAttentionEvery
        let layer = layers[index]
        let attended = graph.attention(
            q: layer.query(graph, layer.norm(graph, x)),
            k: context.layers[index].key,
            v: context.layers[index].value,
            heads: configuration.crossAttentionHeads,
            keyValueHeads: configuration.crossAttentionHeads,
            causal: false,
            keyLengths: nil,
            keyBlocks: context.blocks
        )
        return graph.gatedAdd(x, layer.output(graph, attended), gate: layer.gate)
    }
}
