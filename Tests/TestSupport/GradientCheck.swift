public import NeuralNetwork
import Tensors
public import Testing

/// Compares the gradients of a graph with differences of its loss.
public enum GradientCheck {
    /// Where the two gradients differ most.
    public struct Worst: CustomStringConvertible, Sendable {
        /// The difference as a share of the greater of the two, or of a tenth of the parameter's greatest gradient.
        public var difference: Float = 0
        /// The parameter and place, and both gradients.
        public var place = "nowhere"

        /// The difference and its place.
        public var description: String { "worst difference \(difference) at \(place)" }
    }

    /// Gives the worst difference between analytic and numeric gradients.
    ///
    /// The numeric one is the five-point difference with steps of `step`, whose own error is of the fourth order; the rest
    /// is Float32 rounding, about `1e-7 * loss / step`.
    public static func worst(
        _ parameters: [Parameter],
        step: Float = 0.02,
        loss: (Graph) -> Variable
    ) -> Worst {
        let graph = Graph(recording: true, seed: 1)
        func evaluate() -> Float {
            // The same seed each time: dropout has to drop the same values.
            graph.reset(seed: 1)
            return graph.values(of: loss(graph))[0]
        }
        graph.reset(seed: 1)
        graph.backward(loss(graph))
        let analytic = parameters.map { graph.gradient(of: $0)?.values ?? [] }
        var worst = Worst()
        for (parameter, gradient) in zip(parameters, analytic) {
            guard gradient.count == parameter.count else {
                return Worst(difference: .infinity, place: "\(parameter.name), which has no gradient")
            }
            let original = parameter.value.values
            let floor = 0.1 * (gradient.map(abs).max() ?? 0) + 1e-6
            for index in original.indices {
                func shifted(_ steps: Float) -> Float {
                    var values = original
                    values[index] += steps * step
                    parameter.value.assign(values)
                    return evaluate()
                }
                let numeric = (shifted(-2) - 8 * shifted(-1) + 8 * shifted(1) - shifted(2)) / (12 * step)
                let difference = abs(numeric - gradient[index]) / max(abs(numeric), abs(gradient[index]), floor)
                if !(difference <= worst.difference) {
                    let place = "\(parameter.name)[\(index)]: \(gradient[index]), by differences \(numeric)"
                    worst = Worst(difference: difference.isNaN ? .infinity : difference, place: place)
                }
            }
            parameter.value.assign(original)
        }
        return worst
    }

    /// Expects all gradients to agree within a relative tolerance, and prints the worst difference.
    public static func expect(
        _ parameters: [Parameter],
        tolerance: Float = 2e-3,
        step: Float = 0.02,
        sourceLocation: SourceLocation = #_sourceLocation,
        loss: (Graph) -> Variable
    ) {
        let worst = worst(parameters, step: step, loss: loss)
        print("\(Test.current?.name ?? "gradient"): \(worst), tolerance \(tolerance)")
        #expect(worst.difference < tolerance, "\(worst)", sourceLocation: sourceLocation)
    }
}
