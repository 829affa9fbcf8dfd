import CKernels

/// The AdamW update of each weight: moments, bias correction, decoupled decay and update, in one pass.
public struct AdamUpdate: Sendable {
    private let beta1: Float
    private let beta2: Float
    private let epsilon: Float
    private let gradientScale: Float
    private let correction1: Float
    private let correction2: Float

    /// Makes the update of one step.
    ///
    /// - Parameters:
    ///   - beta1: decay rate of the first moment.
    ///   - beta2: decay rate of the second moment.
    ///   - epsilon: added to the root of the second moment.
    ///   - gradientScale: the factor applied to each gradient first (clipping).
    ///   - correction1: `1 - beta1^t`.
    ///   - correction2: `1 - beta2^t`.
    public init(
        beta1: Float,
        beta2: Float,
        epsilon: Float,
        gradientScale: Float,
        correction1: Float,
        correction2: Float
    ) {
        (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
        (self.gradientScale, self.correction1, self.correction2) = (gradientScale, correction1, correction2)
    }

    /// Updates the weights and both moments in place.
    public func apply(
        _ gradient: Tensor,
        to weights: Tensor,
        first: Tensor,
        second: Tensor,
        learningRate: Float,
        weightDecay: Float
    ) {
        precondition(gradient.count == weights.count, "a gradient of \(gradient.shape) for weights of \(weights.shape)")
        ul_adamw(
            weights.base,
            first.base,
            second.base,
            gradient.base,
            Int64(weights.count),
            learningRate,
            beta1,
            beta2,
            epsilon,
            weightDecay,
            gradientScale,
            correction1,
            correction2
        )
    }
}
