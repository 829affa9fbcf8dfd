public import NeuralNetwork

/// Seeded values for tests.
public struct SeededValues {
    private var random: SeededRandom

    /// Makes a source of values.
    public init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// Gives normally distributed values.
    public mutating func normal(_ count: Int, deviation: Float = 1) -> [Float] {
        (0..<count).map { _ in deviation * random.normal() }
    }

    /// Makes a parameter of normally distributed values.
    public mutating func parameter(_ name: String, _ shape: [Int], deviation: Float = 1) -> Parameter {
        .normal(name, shape, deviation: deviation, using: &random)
    }

    /// Gives whole numbers from 0 up to, not including, `bound`.
    public mutating func indices(_ count: Int, below bound: Int) -> [Int32] {
        (0..<count).map { _ in Int32(random.below(bound)) }
    }
}
