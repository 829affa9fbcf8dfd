/// What went wrong with a file that is read.
public struct InputFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What is wrong with it.
    public let reason: String

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    /// File and reason.
    public var description: String { "\(path): \(reason)" }
}
