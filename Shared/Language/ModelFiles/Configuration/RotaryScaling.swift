import Foundation

/// How rotary positions are slowed down, so that a model reads longer texts than it was first trained on.
///
/// A pair of values j of a head turns by `base ^ (-2 j / headWidth)` radians a position; scaling divides that.
public enum RotaryScaling: Sendable, Equatable {
    /// Plain positions.
    case none
    /// Llama 3's: slow turns are divided by a factor, fast ones stay, those between are blended.
    case llama3(Llama3)
    /// A divisor for each pair, as GGUF files have in `rope_freqs.weight`; shape [headWidth / 2].
    case divisors([Float])

    /// The numbers of Llama 3's scaling.
    ///
    /// - Source: huggingface/transformers, `modeling_rope_utils.py`, "llama3"; Llama 3, arXiv 2407.21783.
    public struct Llama3: Sendable, Equatable {
        /// Divides turns whose wavelength is above `originalLength / lowFrequencyFactor` positions.
        public var factor: Float
        /// Where slow turns begin.
        public var lowFrequencyFactor: Float
        /// Where fast turns begin: wavelengths below `originalLength / highFrequencyFactor` positions stay.
        public var highFrequencyFactor: Float
        /// The length the model was first trained on, in tokens.
        public var originalLength: Int

        /// Makes a scaling.
        public init(factor: Float, lowFrequencyFactor: Float, highFrequencyFactor: Float, originalLength: Int) {
            self.factor = factor
            self.lowFrequencyFactor = lowFrequencyFactor
            self.highFrequencyFactor = highFrequencyFactor
            self.originalLength = originalLength
        }

        /// What a turn of `speed` radians a position is divided by.
        func divisor(speed: Double) -> Double {
            let (low, high) = (Double(lowFrequencyFactor), Double(highFrequencyFactor))
            // Turns within the original length; its reciprocal is the wavelength in original lengths.
            let turns = speed * Double(originalLength) / (2 * .pi)
            if turns > high { return 1 }
            if turns < low { return Double(factor) }
            let share = (turns - low) / (high - low)
            return 1 / ((1 - share) / Double(factor) + share)
        }
    }

    /// What each pair of values turns by, in radians a position, shape [headWidth / 2]; computed in double.
    ///
    /// - Parameters:
    ///   - headWidth: the width of one head.
    ///   - base: the base of the rotary positions.
    /// - Returns: a speed for each pair, from fast to slow.
    public func speeds(headWidth: Int, base: Float) -> [Double] {
        (0..<headWidth / 2).map { pair in
            let speed = pow(Double(base), -2 * Double(pair) / Double(headWidth))
            switch self {
            case .none: return speed
            case .llama3(let llama3): return speed / llama3.divisor(speed: speed)
            case .divisors(let divisors): return speed / Double(divisors[pair])
            }
        }
    }

    func validate(headWidth: Int) throws(ModelConfigurationError) {
        switch self {
        case .none: return
        case .llama3(let llama3):
            let high = llama3.highFrequencyFactor
            try require("rope_scaling.factor", llama3.factor, in: 1...ModelRange.factor.upperBound)
            try require("rope_scaling.high_freq_factor", high, in: ModelRange.factor)
            let low = llama3.lowFrequencyFactor
            try require(
                "rope_scaling.low_freq_factor",
                low,
                ModelRange.factor.contains(low) && low < high,
                "above 0 and below high_freq_factor, which is \(high)"
            )
            try require(
                "rope_scaling.original_max_position_embeddings",
                llama3.originalLength,
                in: ModelRange.textLength
            )
        case .divisors(let divisors):
            let count = divisors.count
            try require("rope_freqs.weight", "\(count) values", count == headWidth / 2, "\(headWidth / 2), half a head")
            for divisor in divisors { try require("rope_freqs.weight", divisor, in: ModelRange.factor) }
        }
    }

    /// Divisors as Llama 3's scaling where they are its published form, else as they are; none where all are 1.
    ///
    /// GGUF files hold the divisors and not the numbers they come from, of which every published model has the same but
    /// for the factor, which is the greatest divisor.
    static func recognised(_ divisors: [Float], headWidth: Int, base: Float) -> RotaryScaling {
        if divisors.allSatisfy({ $0 == 1 }) { return .none }
        let known = Llama3(
            factor: divisors.max() ?? 1,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            originalLength: 8_192
        )
        let isKnown =
            divisors.count == headWidth / 2
            && zip(divisors, RotaryScaling.none.speeds(headWidth: headWidth, base: base)).allSatisfy { found, speed in
                abs(Double(found) / known.divisor(speed: speed) - 1) < 1e-5
            }
        return isKnown ? .llama3(known) : .divisors(divisors)
    }
}
