public import Tensors

/// An exponential moving average of weights, which often predicts better than the weights themselves.
///
/// A step keeps `decay` of the average, and less early on, so that the initial weights are forgotten quickly:
/// `min(decay, (1 + t) / (10 + t))` at step t.
/// - Source: Polyak and Juditsky, 1992; the warm-up is that of TensorFlow's ExponentialMovingAverage.
public final class WeightAverage {
    private let decay: Float
    private let slots: [(parameter: Parameter, average: Tensor)]

    /// Starts an average at the current weights.
    ///
    /// - Parameters:
    ///   - parameters: the weights; frozen ones are skipped, as they never change.
    ///   - decay: the fraction of the average that a step keeps, from 0 to below 1.
    public init(_ parameters: [Parameter], decay: Float) {
        precondition((0..<1).contains(decay), "a decay is from 0 to below 1, got \(decay)")
        self.decay = decay
        slots = parameters.filter(\.isTrainable).map { ($0, $0.value.copy()) }
    }

    /// Updates the average with the weights after a step, counted from 1.
    public func update(step: Int) {
        let kept = min(decay, Float(1 + step) / Float(10 + step))
        for slot in slots {
            Elementwise.scaleInPlace(slot.average, kept)
            Elementwise.accumulate(slot.parameter.value, factor: 1 - kept, into: slot.average)
        }
    }

    /// Runs the body with the parameters set to the average, then restores their exact values.
    public func applied<Result>(_ body: () throws -> Result) rethrows -> Result {
        exchange()
        defer { exchange() }
        return try body()
    }

    private func exchange() {
        for slot in slots {
            let own = slot.parameter.value.copy()
            slot.parameter.value.assign(slot.average)
            slot.average.assign(own)
        }
    }

    /// The averages by the parameters' names, for a checkpoint.
    public var state: [NamedTensor] { slots.map { NamedTensor($0.parameter.name, $0.average) } }
}
