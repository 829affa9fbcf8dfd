import Concurrency
import Foundation
import Synchronization
public import Tensors

/// Adam with decoupled weight decay and gradient clipping by global norm.
///
/// Only trainable parameters have moments. A parameter without a gradient in a step keeps its value and its moments.
/// Work is split over threads by parameter; sums run in a fixed order, so equal gradients give bit-identical results.
///
/// - Source: arXiv 1711.05101.
public final class AdamW {
    /// Parameters that share settings.
    public struct Group {
        /// The parameters; frozen ones are skipped.
        public let parameters: [Parameter]
        /// The factor on the learning rate.
        public let learningRateScale: Float
        /// The fraction of a weight that a step at learning rate 1 removes.
        public let weightDecay: Float

        /// Makes a group.
        public init(_ parameters: [Parameter], learningRateScale: Float = 1, weightDecay: Float = 0) {
            self.parameters = parameters
            self.learningRateScale = learningRateScale
            self.weightDecay = weightDecay
        }
    }

    /// How many steps a training may have made: each is counted, and divided by.
    public static let possibleSteps = 0...1_000_000_000_000

    /// The number of steps taken.
    public private(set) var stepCount = 0
    private let beta1: Float
    private let beta2: Float
    private let epsilon: Float
    private let maximumNorm: Float?
    private let slots: [Slot]

    private struct Slot: Sendable {
        let parameter: Parameter
        let learningRateScale: Float
        let weightDecay: Float
        let first: Tensor
        let second: Tensor
    }

    /// Makes an optimizer with zero moments.
    ///
    /// - Parameters:
    ///   - groups: the parameters to train.
    ///   - betas: decay rates of the first and second moment.
    ///   - epsilon: added to the root of the second moment.
    ///   - maximumNorm: gradients are clipped to this norm over all parameters; nil disables clipping.
    public init(groups: [Group], betas: (Float, Float) = (0.9, 0.999), epsilon: Float = 1e-8, maximumNorm: Float? = 1) {
        (beta1, beta2) = betas
        self.epsilon = epsilon
        self.maximumNorm = maximumNorm
        var seen: Set<ObjectIdentifier> = []
        slots = groups.flatMap { group in
            group.parameters.compactMap { parameter in
                guard parameter.isTrainable, seen.insert(ObjectIdentifier(parameter)).inserted else { return nil }
                return Slot(
                    parameter: parameter,
                    learningRateScale: group.learningRateScale,
                    weightDecay: group.weightDecay,
                    first: Tensor(shape: parameter.shape),
                    second: Tensor(shape: parameter.shape)
                )
            }
        }
    }

    /// The parameters that this optimizer trains.
    public var parameters: [Parameter] { slots.map(\.parameter) }

    /// Updates the parameters with the sum of the gradients from several graphs.
    ///
    /// - Parameters:
    ///   - graphs: after their backward passes; the sum is left in the first one that has a gradient.
    ///   - learningRate: of this step.
    /// - Returns: as `step(gradients:learningRate:threads:)`.
    @discardableResult
    public func step(graphs: [Graph], learningRate: Float) -> Float {
        let gradients = parameters.map { parameter in graphs.compactMap { $0.gradient(of: parameter) } }
        return step(gradients: gradients, learningRate: learningRate)
    }

    /// Updates the parameters with the sums of the given gradients.
    ///
    /// - Parameters:
    ///   - gradients: for each of `parameters` its gradients, one per shard, summed in this order into the first of
    ///     them. An empty list leaves a parameter unchanged.
    ///   - learningRate: of this step.
    ///   - threads: the number of threads to use; the result does not depend on it.
    /// - Returns: the norm of the summed gradient over all parameters, before clipping. When it is not finite, nothing
    ///   was changed and the step is not counted.
    @discardableResult
    public func step(gradients: [[Tensor]], learningRate: Float, threads: Int = 1) -> Float {
        let squares = spread(over: threads) { index in
            let shards = gradients[index]
            guard let sum = shards.first else { return 0 }
            for shard in shards.dropFirst() { Elementwise.accumulate(shard, into: sum) }
            return sum.sumOfSquares
        }
        let norm = Float(squares.reduce(0, +).squareRoot())
        guard norm.isFinite else { return norm }
        stepCount += 1
        let update = AdamUpdate(
            beta1: beta1,
            beta2: beta2,
            epsilon: epsilon,
            gradientScale: maximumNorm.map { norm > $0 ? $0 / norm : 1 } ?? 1,
            correction1: 1 - pow(beta1, Float(stepCount)),
            correction2: 1 - pow(beta2, Float(stepCount))
        )
        let slots = slots
        _ = spread(over: threads) { index in
            guard let gradient = gradients[index].first else { return 0 }
            let slot = slots[index]
            update.apply(
                gradient,
                to: slot.parameter.value,
                first: slot.first,
                second: slot.second,
                learningRate: learningRate * slot.learningRateScale,
                weightDecay: slot.weightDecay
            )
            return 0
        }
        return norm
    }

    /// Runs the body for each parameter and returns the results in the order of the parameters.
    private func spread(over threads: Int, _ body: @Sendable (Int) -> Double) -> [Double] {
        let count = slots.count
        guard threads > 1, count > 1 else { return (0..<count).map(body) }
        let results = Mutex([Double](repeating: 0, count: count))
        let next = Atomic(0)
        BlockingExecutor.concurrently(threads) { _ in
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                let result = body(index)
                results.withLock { $0[index] = result }
            }
        }
        return results.withLock { $0 }
    }

    // MARK: - State

    /// All moments by name, for a checkpoint.
    public var state: [NamedTensor] {
        slots.flatMap { slot in
            [
                NamedTensor("first." + slot.parameter.name, slot.first),
                NamedTensor("second." + slot.parameter.name, slot.second),
            ]
        }
    }

    /// Restores the moments of a checkpoint; training then continues bit-identically.
    ///
    /// - Throws: `SafeTensorsError` when a tensor is missing or has another shape; then nothing was changed.
    public func restore(_ saved: SafeTensors, stepCount: Int) throws(SafeTensorsError) {
        try saved.load(into: state)
        self.stepCount = stepCount
    }
}
