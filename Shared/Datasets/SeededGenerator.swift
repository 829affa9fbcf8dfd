/// A fast random number generator whose whole state is four numbers; the same seed gives the same numbers everywhere.
///
/// - Source: xoshiro256++ of Blackman and Vigna, seeded by SplitMix64.
public struct SeededGenerator: RandomNumberGenerator, Codable, Sendable, Equatable {
    private var state: [UInt64]

    /// Starts from a seed.
    public init(seed: UInt64) {
        var mix = seed
        state = (0..<4).map { _ in
            mix &+= 0x9E37_79B9_7F4A_7C15
            var z = mix
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        func rotated(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
        let result = rotated(state[0] &+ state[3], 23) &+ state[0]
        let t = state[1] << 17
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= t
        state[3] = rotated(state[3], 45)
        return result
    }

    /// A uniform number from 0 up to, not including, 1.
    public mutating func uniform() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// An index drawn with probability proportional to its weight; the weights' sum must be greater than 0.
    public mutating func index(weights: [Double]) -> Int {
        var remaining = uniform() * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            remaining -= weight
            if remaining < 0 { return index }
        }
        return weights.lastIndex { $0 > 0 } ?? 0
    }
}
