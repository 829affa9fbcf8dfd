import Foundation

/// The learning rate of each step: a linear warm-up, then constant or with cosine decay.
public struct Schedule: Codable, Sendable, Equatable {
    /// What the rate does after the warm-up.
    public enum Shape: Codable, Sendable, Equatable {
        /// Stays at the peak.
        case constant
        /// Falls along half a cosine until step `steps`, to `floor` times the peak, and stays there.
        case cosine(steps: Int, floor: Float)
    }

    /// The rate at the end of the warm-up.
    public let peak: Float
    /// Steps until the peak.
    public let warmUpSteps: Int
    /// The shape after the warm-up.
    public let shape: Shape

    /// Makes a schedule.
    public init(peak: Float, warmUpSteps: Int = 0, shape: Shape = .constant) {
        self.peak = peak
        self.warmUpSteps = warmUpSteps
        self.shape = shape
    }

    /// The learning rate of a step, counted from 0.
    public func learningRate(at step: Int) -> Float {
        if step < warmUpSteps { return peak * Float(step + 1) / Float(warmUpSteps) }
        guard case .cosine(let steps, let floor) = shape else { return peak }
        let progress = min(Float(step - warmUpSteps) / Float(max(steps - warmUpSteps, 1)), 1)
        return peak * (floor + (1 - floor) * (1 + cos(.pi * progress)) / 2)
    }
}
