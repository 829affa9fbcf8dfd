/// What went wrong with a verification itself, or what it found.
public struct VerificationError: Error, Sendable, CustomStringConvertible {
    /// In words, with the values.
    public let description: String

    /// Makes an error.
    public init(_ description: String) {
        self.description = description
    }
}
