import NeuralNetwork

/// A layer of an encoder: reads each event in the context of the others.
protocol EncoderBlock: Module, Sendable {
    /// Returns x, [N, d], plus the layer's output; rows are the events of all timelines packed end to end.
    func callAsFunction(_ graph: Graph, _ x: Variable, _ timelines: BlockInput) -> Variable
}

/// What blocks need to know about the timelines.
struct BlockInput {
    let heads: Int
    let dropout: Float
    /// Whether an event sees only the events before it.
    let isCausal: Bool
    /// Events of each timeline, [B]; their sum is N.
    let lengths: [Int32]
    /// The time of each event in seconds, [N].
    let times: [Int32]
    /// The divisor of pointwise attention: the model's number of positions.
    let divisor: Int
}

/// Pre-norm softmax attention, then a feed-forward layer.
///
/// - Source: SASRec, arXiv 1808.09781, with the norms before the layers.
struct AttentionBlock: EncoderBlock {
    private let attentionNorm: LayerNorm
    private let query: Linear, key: Linear, value: Linear, output: Linear
    private let feedForwardNorm: LayerNorm
    private let feedForward: FeedForward

    var parameters: [Parameter] {
        attentionNorm.parameters + query.parameters + key.parameters + value.parameters + output.parameters
            + feedForwardNorm.parameters + feedForward.parameters
    }

    init(_ name: String, _ configuration: EncoderConfiguration, _ weights: inout some WeightSource) {
        let d = configuration.width
        let last = 1 / Float(2 * configuration.layers).squareRoot()
        attentionNorm = LayerNorm("\(name).attention_norm", d, &weights)
        query = Linear("\(name).query", from: d, to: d, bias: true, &weights)
        key = Linear("\(name).key", from: d, to: d, bias: true, &weights)
        value = Linear("\(name).value", from: d, to: d, bias: true, &weights)
        output = Linear("\(name).output", from: d, to: d, bias: true, scale: last, &weights)
        feedForwardNorm = LayerNorm("\(name).feed_forward_norm", d, &weights)
        feedForward = FeedForward(
            "\(name).feed_forward",
            d,
            hidden: configuration.feedForwardWidth,
            scale: last,
            &weights
        )
    }

    func callAsFunction(_ graph: Graph, _ x: Variable, _ timelines: BlockInput) -> Variable {
        let normed = attentionNorm(graph, x)
        let attended = graph.attention(
            q: query(graph, normed),
            k: key(graph, normed),
            v: value(graph, normed),
            heads: timelines.heads,
            lengths: timelines.lengths,
            causal: timelines.isCausal
        )
        let y = graph.add(x, graph.dropout(output(graph, attended), probability: timelines.dropout))
        let fed = feedForward(graph, feedForwardNorm(graph, y))
        return graph.add(y, graph.dropout(fed, probability: timelines.dropout))
    }
}

/// Gated attention without a softmax, replacing both attention and the feed-forward layer.
///
/// ```
/// u, v, q, k = silu(products of norm(x))
/// y = x + product of (norm(silu(q k^T + bias) v / n) * u)
/// ```
/// - Source: HSTU, arXiv 2402.17152, equations 1 to 3.
struct HSTUBlock: EncoderBlock {
    private let inputNorm: LayerNorm
    private let gate: Linear
    /// Values, queries and keys in one product.
    private let mixed: Linear
    private let positionBias: Parameter
    private let timeBias: Parameter?
    private let attentionNorm: LayerNorm
    private let output: Linear

    var parameters: [Parameter] {
        inputNorm.parameters + gate.parameters + mixed.parameters + [positionBias] + (timeBias.map { [$0] } ?? [])
            + attentionNorm.parameters + output.parameters
    }

    init(_ name: String, _ configuration: EncoderConfiguration, _ weights: inout some WeightSource) {
        let (d, span) = (configuration.width, configuration.positionCount)
        let distances = configuration.kind == .masked ? 2 * span - 1 : span
        let bias = Filling.normal(0.02)
        inputNorm = LayerNorm("\(name).input_norm", d, epsilon: Self.epsilon, &weights)
        // Small scores of both signs: at the usual scale, silu makes all of them similar and positive, and it takes
        // long until a bias or a product tells one event from another. The following norm compensates for the scale.
        let small = 0.02 * Float(d).squareRoot()
        gate = Linear("\(name).gate", from: d, to: d, bias: true, scale: small, &weights)
        mixed = Linear("\(name).mixed", from: d, to: 3 * d, bias: true, scale: small, &weights)
        positionBias = bias.parameter(
            "\(name).position_bias",
            [configuration.heads, distances],
            decay: .joined,
            &weights
        )
        timeBias =
            configuration.timeBiasBuckets == 0
            ? nil
            : bias.parameter(
                "\(name).time_bias",
                [configuration.heads, configuration.timeBiasBuckets],
                decay: .joined,
                &weights
            )
        attentionNorm = LayerNorm("\(name).attention_norm", d, epsilon: Self.epsilon, &weights)
        let last = 1 / Float(configuration.layers).squareRoot()
        output = Linear("\(name).output", from: d, to: d, bias: true, scale: last, &weights)
    }

    func callAsFunction(_ graph: Graph, _ x: Variable, _ timelines: BlockInput) -> Variable {
        let normed = inputNorm(graph, x)
        let attended = graph.pointwiseAttention(
            graph.silu(mixed(graph, normed)),
            positionBias: positionBias,
            timeBias: timeBias,
            times: timeBias == nil ? nil : timelines.times,
            heads: timelines.heads,
            causal: timelines.isCausal,
            divisor: timelines.divisor,
            lengths: timelines.lengths
        )
        let gated = graph.multiply(attentionNorm(graph, attended), graph.silu(gate(graph, normed)))
        return graph.add(x, output(graph, graph.dropout(gated, probability: timelines.dropout)))
    }

    /// Attention over few events is divided by all positions: its values are small, and epsilon must be smaller.
    private static let epsilon: Float = 1e-6
}
