import NeuralNetwork
import Tensors

/// A linear layer with a weight of shape [out, in], which decays unless stated otherwise, and an optional bias.
struct Linear: Sendable {
    let weight: Parameter
    let bias: Parameter?
    /// Added to the weight; its parameters belong to the adapter that made it.
    var update: LowRankUpdate?

    var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

    init(weight: Parameter, bias: Parameter?) {
        (self.weight, self.bias) = (weight, bias)
    }

    init(
        _ name: String,
        from input: Int,
        to output: Int,
        bias: Bool,
        scale: Float = 1,
        decay: WeightDecay = .always,
        _ weights: inout some WeightSource
    ) {
        weight = Filling.normal(scale / Float(input).squareRoot())
            .parameter("\(name).weight", [output, input], decay: decay, &weights)
        self.bias = bias ? Filling.constant(0).parameter("\(name).bias", [output], decay: .never, &weights) : nil
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        guard let update else { return graph.linear(x, weight: weight, bias: bias) }
        return graph.linear(
            x,
            weight: weight,
            bias: bias,
            down: update.down,
            up: update.up,
            factor: update.factor
        )
    }
}

/// Layer normalization with gain and bias.
struct LayerNorm: Sendable {
    let gain: Parameter
    let bias: Parameter
    let epsilon: Float

    var parameters: [Parameter] { [gain, bias] }

    init(_ name: String, _ width: Int, epsilon: Float = 1e-5, _ weights: inout some WeightSource) {
        self.epsilon = epsilon
        gain = Filling.constant(1).parameter("\(name).weight", [width], decay: .never, &weights)
        bias = Filling.constant(0).parameter("\(name).bias", [width], decay: .never, &weights)
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        graph.layerNorm(x, gain: gain, bias: bias, epsilon: epsilon)
    }
}

/// Root mean square normalization with gain.
struct RMSNorm: Sendable {
    let gain: Parameter
    let epsilon: Float

    var parameters: [Parameter] { [gain] }

    init(_ name: String, _ width: Int, epsilon: Float, _ weights: inout some WeightSource) {
        gain = Filling.constant(1).parameter("\(name).weight", [width], decay: .never, &weights)
        self.epsilon = epsilon
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        graph.rmsNorm(x, gain: gain, epsilon: epsilon)
    }
}

/// Two linear layers with a GELU between them.
struct FeedForward: Sendable {
    let up: Linear
    let down: Linear

    var parameters: [Parameter] { up.parameters + down.parameters }

    init(_ name: String, _ width: Int, hidden: Int, scale: Float, _ weights: inout some WeightSource) {
        up = Linear("\(name).up", from: width, to: hidden, bias: true, &weights)
        down = Linear("\(name).down", from: hidden, to: width, bias: true, scale: scale, &weights)
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        down(graph, graph.gelu(up(graph, x)))
    }
}
