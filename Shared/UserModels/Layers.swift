import Foundation
import NeuralNetwork
import Tensors

/// How a new weight is filled.
enum Filling {
    /// One number everywhere.
    case constant(Float)
    /// Draws from a normal distribution around 0 with this standard deviation.
    case normal(Float)

    func parameter(
        _ name: String,
        _ shape: [Int],
        _ generator: inout some RandomNumberGenerator
    ) -> Parameter {
        let count = shape.reduce(1, *)
        switch self {
        case .constant(let value):
            return Parameter(name, Tensor([Float](repeating: value, count: count), shape: shape))
        case .normal(let deviation):
            var values = [Float](repeating: 0, count: count)
            // Box and Muller's method gives two draws at a time.
            for index in stride(from: 0, to: count, by: 2) {
                let radius = sqrt(-2 * log(Float.random(in: Float.leastNormalMagnitude..<1, using: &generator)))
                let angle = 2 * Float.pi * Float.random(in: 0..<1, using: &generator)
                values[index] = deviation * radius * cos(angle)
                if index + 1 < count { values[index + 1] = deviation * radius * sin(angle) }
            }
            return Parameter(name, Tensor(values, shape: shape))
        }
    }
}

/// A product with a weight of shape [out, in], and a bias where there is one.
struct Linear: Sendable {
    let weight: Parameter
    let bias: Parameter?

    var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

    init(
        _ name: String,
        from input: Int,
        to output: Int,
        bias: Bool,
        scale: Float = 1,
        _ generator: inout some RandomNumberGenerator
    ) {
        weight = Filling.normal(scale / Float(input).squareRoot())
            .parameter("\(name).weight", [output, input], &generator)
        self.bias = bias ? Filling.constant(0).parameter("\(name).bias", [output], &generator) : nil
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        graph.linear(x, weight: weight, bias: bias)
    }
}

/// Layer normalization with gain and bias.
struct LayerNorm: Sendable {
    let gain: Parameter
    let bias: Parameter
    let epsilon: Float

    var parameters: [Parameter] { [gain, bias] }

    init(_ name: String, _ width: Int, epsilon: Float = 1e-5, _ generator: inout some RandomNumberGenerator) {
        self.epsilon = epsilon
        gain = Filling.constant(1).parameter("\(name).weight", [width], &generator)
        bias = Filling.constant(0).parameter("\(name).bias", [width], &generator)
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

    init(_ name: String, _ width: Int, epsilon: Float, _ generator: inout some RandomNumberGenerator) {
        gain = Filling.constant(1).parameter("\(name).weight", [width], &generator)
        self.epsilon = epsilon
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        graph.rmsNorm(x, gain: gain, epsilon: epsilon)
    }
}

/// Two products with a GELU between them.
struct FeedForward: Sendable {
    let up: Linear
    let down: Linear

    var parameters: [Parameter] { up.parameters + down.parameters }

    init(_ name: String, _ width: Int, hidden: Int, scale: Float, _ generator: inout some RandomNumberGenerator) {
        up = Linear("\(name).up", from: width, to: hidden, bias: true, &generator)
        down = Linear("\(name).down", from: hidden, to: width, bias: true, scale: scale, &generator)
    }

    func callAsFunction(_ graph: Graph, _ x: Variable) -> Variable {
        down(graph, graph.gelu(up(graph, x)))
    }
}
