import Foundation
public import NeuralNetwork
public import Tensors

/// Connects a user encoder and a language model: Perceiver, projection and gated cross-attention.
///
/// The Perceiver's output, shape [K, d], is a user's context: it is transmitted and stored. Projection and
/// cross-attention run where the context is read.
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
        /// Cross-attention is inserted before every n-th block, including the first.
        public var crossAttentionEvery = 1
        /// Heads of the cross-attention; must divide `languageModelWidth`.
        public var crossAttentionHeads = 4
        /// Initial opening of the gates, tanh(a), from 0 to below 1.
        ///
        /// 0 leaves a trained language model unchanged (strategies `enc` and `proj`). If the language model is trained
        /// too, start open: a gate at 0 hardly opens by itself.
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

        /// Throws when a value is outside its range.
        func validate() throws(ModelConfigurationError) {
            let (D, heads) = (languageModelWidth, crossAttentionHeads)
            try require("adapter.languageModelWidth", D, in: ModelRange.width)
            try require("adapter.languageModelLayers", languageModelLayers, in: ModelRange.layers)
            try require("adapter.crossAttentionEvery", crossAttentionEvery, in: ModelRange.layers)
            try require(
                "adapter.crossAttentionHeads",
                heads,
                heads > 0 && D % heads == 0,
                "a divisor of the width \(D)"
            )
            try require("adapter.gateOpening", gateOpening, (0..<1).contains(gateOpening), "from 0 to below 1")
            try require("adapter.gateLearningRateScale", gateLearningRateScale, in: 0...ModelRange.factor.upperBound)
            try perceiver.validate()
        }
    }

    /// The text attends to the context; a gate scales what is added.
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
        /// The context that each text reads; nil when each has its own.
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

    /// The gates, which have their own learning rate.
    public var gates: [Parameter] { layers.map(\.gate) }

    /// Makes an adapter with random weights.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | projection, query, key, value | 1 / sqrt(inputs) |
    /// | output of cross-attention | 1 / sqrt(D) |
    /// | norms | gain 1; biases 0 |
    /// | gates | atanh(`gateOpening`), not random |
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public convenience init(
        configuration: Configuration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        var drawn = DrawnWeights(generator)
        defer { generator = drawn.generator }
        try self.init(configuration: configuration, weights: &drawn)
    }

    /// Makes an adapter from the weights in a file, whose names and shapes are checked against the configuration first.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the
    ///   weight that is missing, unexpected, of another shape or not finite.
    public convenience init(configuration: Configuration, weights file: SafeTensors) throws {
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in
            _ = try Self(configuration: configuration, weights: &declared)
        }
        try self.init(configuration: configuration, weights: &stored)
        try stored.finish()
    }

    /// Makes an adapter whose weights come from `weights`.
    init(
        configuration: Configuration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        let D = configuration.languageModelWidth
        let every = configuration.crossAttentionEvery
        self.configuration = configuration
        perceiver = try Perceiver(configuration: configuration.perceiver, weights: &weights)
        projection = Linear("projection", from: configuration.perceiver.width, to: D, bias: true, &weights)
        let start = Float(atanh(Double(configuration.gateOpening)))
        var layers: [CrossAttention] = []
        for block in stride(from: 0, to: configuration.languageModelLayers, by: every) {
            let name = "cross_attention.\(block)"
            layers.append(
                CrossAttention(
                    norm: RMSNorm("\(name).norm", D, epsilon: 1e-5, &weights),
                    query: Linear("\(name).query", from: D, to: D, bias: false, &weights),
                    key: Linear("\(name).key", from: D, to: D, bias: false, &weights),
                    value: Linear("\(name).value", from: D, to: D, bias: false, &weights),
                    output: Linear("\(name).output", from: D, to: D, bias: false, &weights),
                    gate: Filling.constant(start).parameter("\(name).gate", [1], decay: .never, &weights)
                )
            )
        }
        self.layers = layers
    }

    /// Projects contexts and computes the keys and values of every cross-attention layer.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - contexts: the Perceiver's output, shape [C, K, d].
    ///   - blocks: the context that each text reads; nil when each has its own.
    /// - Returns: keys and values; they belong to the graph, so they must not be used after its `reset()`.
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
    ///   - graph: records the operations.
    ///   - block: the block's index; if no layer comes before it, `x` is returned.
    ///   - x: hidden states of the text, shape [Q, T, D].
    ///   - context: keys and values.
    /// - Returns: shape [Q, T, D]. Bit-identical to `x` while the gate is 0.
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
