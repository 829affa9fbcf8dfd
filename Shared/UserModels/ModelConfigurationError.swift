/// A value of a model's configuration that is out of range.
public struct ModelConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The value's name.
    public let key: String
    /// What was given.
    public let value: String
    /// What is expected.
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
func require(
    _ key: String,
    _ value: some CustomStringConvertible,
    _ condition: Bool,
    _ expected: String
) throws(ModelConfigurationError) {
    guard condition else { throw ModelConfigurationError(key: key, value: "\(value)", expected: expected) }
}
