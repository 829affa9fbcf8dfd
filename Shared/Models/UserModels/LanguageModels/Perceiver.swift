package import ModelFiles
public import NeuralNetwork
import Tensors

/// Turns an encoded timeline of any length into `K` vectors: the context a language model reads.
///
/// The hidden state of the last event is added to each of the `K` trained latents, then layers of cross-attention to
/// the events and of feed-forward refine them. That state holds all the encoder knows about the next event, so the
/// language model finds it in the context from the first step on, before attention has learnt where to look.
///
/// Shapes: `Q` prefixes of `B` encoded timelines of `L` positions, `K` latents, `d` width.
/// - Source: Perceiver, arXiv 2103.03206; as adapter of User-LLM, arXiv 2402.13598.
public final class Perceiver: WeightedModel, Sendable {
    /// The shape, saved beside the weights.
    public struct Configuration: Codable, Sendable, Equatable {
        /// Number of latents, `K`.
        public var latents = 16
        /// Number of layers.
        public var layers = 2
        /// Attention heads; must divide the width.
        public var heads = 2
        /// Width of the events and of the latents, `d`.
        public var width: Int
        /// Inner width of a feed-forward layer.
        public var feedForwardWidth = 128

        /// The default shape for events of this width.
        public init(width: Int) { self.width = width }

        /// Throws when a value is outside its range.
        func validate() throws(ModelConfigurationError) {
            try require("adapter.perceiver.width", width, in: ModelRange.width)
            try require("adapter.perceiver.latents", latents, in: ModelRange.latents)
            try require("adapter.perceiver.layers", layers, in: ModelRange.layers)
            try require(
                "adapter.perceiver.heads",
                heads,
                heads > 0 && width % heads == 0,
                "a divisor of the width \(width)"
            )
            try require("adapter.perceiver.feedForwardWidth", feedForwardWidth, in: ModelRange.feedForwardWidth)
        }
    }

    /// Cross-attention from latents to events, then feed-forward; both pre-norm.
    struct Layer: Sendable {
        let latentNorm: LayerNorm
        let eventNorm: LayerNorm
        let query: Linear, key: Linear, value: Linear, output: Linear
        let feedForwardNorm: LayerNorm
        let feedForward: FeedForward

        var parameters: [Parameter] {
            latentNorm.parameters + eventNorm.parameters + query.parameters + key.parameters + value.parameters
                + output.parameters + feedForwardNorm.parameters + feedForward.parameters
        }
    }

    /// The shape.
    public let configuration: Configuration

    private let latents: Parameter
    private let layers: [Layer]
    private let finalNorm: LayerNorm
    private let noHistory: Parameter

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] {
        [latents] + layers.flatMap(\.parameters) + finalNorm.parameters + [noHistory]
    }

    /// Makes a Perceiver whose weights come from `weights`.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | latents | 0.5: enough to distinguish the K vectors, added to the last hidden state with values of about 1 |
    /// | context of a user without history | 1, like the output of the final norm |
    /// | products | 1 / sqrt(inputs), output projections / sqrt(2 * layers) |
    /// | norms | gain 1, bias 0; all other biases 0 |
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    package init(
        configuration: Configuration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        let d = configuration.width
        self.configuration = configuration
        latents = Filling.normal(0.5).parameter(
            "perceiver.latents",
            [configuration.latents, d],
            decay: .never,
            &weights
        )
        let last = 1 / Float(2 * configuration.layers).squareRoot()
        var layers: [Layer] = []
        for index in 0..<configuration.layers {
            let name = "perceiver.layers.\(index)"
            layers.append(
                Layer(
                    latentNorm: LayerNorm("\(name).latent_norm", d, &weights),
                    eventNorm: LayerNorm("\(name).event_norm", d, &weights),
                    query: Linear("\(name).query", from: d, to: d, bias: true, &weights),
                    key: Linear("\(name).key", from: d, to: d, bias: true, &weights),
                    value: Linear("\(name).value", from: d, to: d, bias: true, &weights),
                    output: Linear("\(name).output", from: d, to: d, bias: true, scale: last, &weights),
                    feedForwardNorm: LayerNorm("\(name).feed_forward_norm", d, &weights),
                    feedForward: FeedForward(
                        "\(name).feed_forward",
                        d,
                        hidden: configuration.feedForwardWidth,
                        scale: last,
                        &weights
                    )
                )
            )
        }
        self.layers = layers
        finalNorm = LayerNorm("perceiver.final_norm", d, &weights)
        noHistory = Filling.normal(1).parameter(
            "perceiver.no_history",
            [configuration.latents, d],
            decay: .never,
            &weights
        )
    }

    /// Reads prefixes of encoded timelines.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - events: hidden states of a causal encoder, shape [B, L, d].
    ///   - timelines: the timeline of each prefix, shape [Q].
    ///   - prefixes: the number of events in each prefix, shape [Q]; 0 gives the learnt context without history.
    /// - Returns: contexts, shape [Q, K, d].
    public func contexts(
        _ graph: Graph,
        events: Variable,
        timelines: [Int32],
        prefixes: [Int32]
    ) -> Variable {
        precondition(timelines.count == prefixes.count, "\(timelines.count) timelines, \(prefixes.count) prefixes")
        let B = events.shape[0]
        let L = events.shape[1]
        let K = configuration.latents
        let d = configuration.width
        let Q = prefixes.count
        let flatEvents = graph.reshaped(events, [B * L, d])

        let lastRows: [Int32] = zip(timelines, prefixes).flatMap { (timeline, prefix) -> [Int32] in
            [Int32](repeating: prefix == 0 ? -1 : timeline * Int32(L) + prefix - 1, count: K)
        }
        var x = graph.addRows(graph.gatherRows(flatEvents, lastRows), graph.parameter(latents))
        for layer in layers {
            let normed = layer.eventNorm(graph, events)
            let attended = graph.attention(
                q: graph.reshaped(layer.query(graph, layer.latentNorm(graph, x)), [Q, K, d]),
                k: layer.key(graph, normed),
                v: layer.value(graph, normed),
                heads: configuration.heads,
                keyValueHeads: configuration.heads,
                causal: false,
                keyLengths: prefixes,
                keyBlocks: timelines
            )
            x = graph.add(x, layer.output(graph, graph.reshaped(attended, [Q * K, d])))
            x = graph.add(x, layer.feedForward(graph, layer.feedForwardNorm(graph, x)))
        }
        x = finalNorm(graph, x)
        if prefixes.contains(0) { x = replaced(graph, x, where: prefixes.map { $0 == 0 }) }
        return graph.reshaped(x, [Q, K, d])
    }

    /// The learnt context of users without events, shape [K, d].
    var contextWithoutHistory: [Float] { noHistory.value.values }

    /// The learnt context of users without events, repeated for each of `count` questions, shape [count, K, d].
    public func contextsWithoutHistory(_ graph: Graph, count: Int) -> Variable {
        graph.repeated(graph.parameter(noHistory), times: count)
    }

    /// Replaces whole blocks of `x`, shape [Q * K, d], with the learnt context without history.
    ///
    /// Multiplying by 1 and adding 0 are exact, so the other blocks keep their bits.
    private func replaced(_ graph: Graph, _ x: Variable, where isEmpty: [Bool]) -> Variable {
        let block = configuration.latents * configuration.width
        let keep = isEmpty.flatMap { [Float](repeating: $0 ? 0 : 1, count: block) }
        let learnt = graph.reshaped(contextsWithoutHistory(graph, count: isEmpty.count), x.shape)
        return graph.add(
            graph.multiply(x, graph.constant(keep, shape: x.shape)),
            graph.multiply(learnt, graph.constant(keep.map { 1 - $0 }, shape: x.shape))
        )
    }
}
