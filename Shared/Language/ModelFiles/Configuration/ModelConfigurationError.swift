/// A value of a model's configuration that is out of range.
public struct ModelConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The name of the value.
    public let key: String
    /// The given value.
    public let value: String
    /// The expected value.
    public let expected: String

    /// Makes an error.
    public init(key: String, value: String, expected: String) {
        self.key = key
        self.value = value
        self.expected = expected
    }

    /// Key, value and what is expected, in one line.
    public var description: String { "\(key) is \(value), expected \(expected)" }
}

/// Throws unless `condition` holds.
///
/// - Parameters:
///   - key: the name of the value.
///   - value: the value, as the error shows it.
///   - condition: what must hold.
///   - expected: what the error says is expected.
/// - Throws: `ModelConfigurationError`.
public func require(
    _ key: String,
    _ value: some CustomStringConvertible,
    _ condition: Bool,
    _ expected: String
) throws(ModelConfigurationError) {
    guard condition else { throw ModelConfigurationError(key: key, value: "\(value)", expected: expected) }
}

/// Throws unless a number is in its range; NaN is in no range.
///
/// - Parameters:
///   - key: the name of the value.
///   - value: the number.
///   - range: the numbers allowed.
/// - Throws: `ModelConfigurationError`.
public func require<Number: Comparable & CustomStringConvertible>(
    _ key: String,
    _ value: Number,
    in range: ClosedRange<Number>
) throws(ModelConfigurationError) {
    try require(key, value, range.contains(value), "from \(range.lowerBound) to \(range.upperBound)")
}

/// The sizes a model may have: far above any trained model, but small enough that a product of two does not overflow.
///
/// They do not guarantee that there is enough memory: that is known only once a file provides the weights.
public enum ModelRange {
    /// Tokens of a vocabulary; the same limit as for ids in `tokenizer.json`.
    public static let tokens = 1...4_000_000
    /// Width of hidden states, and of one head.
    public static let width = 1...65_536
    /// Inner width of a feed-forward layer.
    public static let feedForwardWidth = 1...1_048_576
    /// Blocks.
    public static let layers = 1...1_000
    /// Heads of attention.
    public static let heads = 1...65_536
    /// Tokens of a text: positions up to this are exact in Float32.
    public static let textLength = 1...16_777_216
    /// Factors on vectors and scores.
    public static let factor: ClosedRange<Float> = 1e-6...1e6
    /// A base below 1 would make the angles grow without bound.
    public static let rotaryBase: ClosedRange<Float> = 1...1e15
    /// Normalizing zeros must not divide by zero.
    public static let epsilon: ClosedRange<Float> = 1e-30...1
}
