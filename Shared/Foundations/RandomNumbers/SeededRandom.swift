import Foundation

/// A generator of pseudo-random numbers whose state can be saved: the same seed gives the same numbers everywhere.
///
/// - Source: xoshiro256** with its state filled by SplitMix64, prng.di.unimi.it.
public struct SeededRandom: RandomNumberGenerator, Codable, Sendable, Equatable {
    private var s0: UInt64
    private var s1: UInt64
    private var s2: UInt64
    private var s3: UInt64

    /// Makes a generator; any seed will do.
    public init(seed: UInt64) {
        var state = seed
        s0 = Self.splitMix(&state)
        s1 = Self.splitMix(&state)
        s2 = Self.splitMix(&state)
        s3 = Self.splitMix(&state)
    }

    /// Gives 64 random bits.
    public mutating func next() -> UInt64 {
        let result = Self.rotated(s1 &* 5, 7) &* 9
        let shifted = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = Self.rotated(s3, 45)
        return result
    }

    /// Gives a number from 0 up to, not including, 1.
    public mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// Gives a number from 0 up to, not including, 1, in steps of 2 to the power of -53.
    public mutating func uniformDouble() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Gives a whole number from 0 up to, not including, `bound`.
    public mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

    /// Gives a normally distributed number with mean 0 and deviation 1 (Box and Muller's method).
    public mutating func normal() -> Float {
        let radius = (-2 * log(1 - Double(next() >> 11) * 0x1p-53)).squareRoot()
        return Float(radius * cos(2 * .pi * Double(uniform())))
    }

    /// Gives an index with probability proportional to its weight; the weights' sum must be greater than 0.
    public mutating func index(weights: [Double]) -> Int {
        var remaining = uniformDouble() * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            remaining -= weight
            if remaining < 0 { return index }
        }
        // Rounding can leave a remainder.
        return weights.lastIndex { $0 > 0 } ?? 0
    }

    /// Mixes numbers to one seed, so that streams for (seed, step, shard) do not resemble each other.
    public static func mix(_ values: UInt64...) -> UInt64 {
        var state: UInt64 = 0
        var mixed: UInt64 = 0
        for value in values {
            state = mixed ^ value
            mixed = splitMix(&state)
        }
        return mixed
    }

    private static func splitMix(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private static func rotated(_ x: UInt64, _ bits: UInt64) -> UInt64 { (x << bits) | (x >> (64 - bits)) }
}
