#if TEST_SWITCHES
    public import Failpoints
#endif

/// How a process ends, with the numbers of `sysexits.h`.
public struct ExitCode: RawRepresentable, Sendable, Equatable {
    /// The number the process ends with.
    public let rawValue: Int32

    /// Makes a code of a number.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// All went well.
    public static let success = ExitCode(rawValue: 0)
    /// Something failed that has no code of its own.
    public static let failure = ExitCode(rawValue: 1)
    /// The command line is wrong.
    public static let usage = ExitCode(rawValue: 64)
    /// The input is wrong.
    public static let badInput = ExitCode(rawValue: 65)
    /// A service that is needed is not there.
    public static let unavailable = ExitCode(rawValue: 69)
    /// The process could not end in time, or was asked to stop twice.
    public static let temporaryFailure = ExitCode(rawValue: 75)
    /// A setting is wrong.
    public static let configuration = ExitCode(rawValue: 78)
    /// Ctrl-C ended the work before it was done.
    public static let interrupted = ExitCode(rawValue: 130)
}

/// An error that says how the process should end.
public protocol ExitCodeError: Error {
    /// The code to end with.
    var exitCode: ExitCode { get }
}

#if TEST_SWITCHES
    extension FailurePlan.Malformed: ExitCodeError {
        /// 78: a setting is wrong.
        public var exitCode: ExitCode { .configuration }
    }
#endif

/// A failure that ends the process with a sentence and a code.
public struct ProcessFailure: ExitCodeError, CustomStringConvertible {
    /// What failed, on what, and what to do.
    public let description: String
    /// The code to end with.
    public let exitCode: ExitCode

    /// Makes a failure.
    public init(_ description: String, exitCode: ExitCode = .failure) {
        self.description = description
        self.exitCode = exitCode
    }
}
