/// Where a value came from.
public enum ConfigurationSource: Sendable, Equatable, CustomStringConvertible {
    /// A flag on the command line.
    case flag(String)
    /// An environment variable.
    case environment(String)
    /// A line of a file.
    case file(String, line: Int)
    /// A file that holds nothing but a secret.
    case secretFile(String)
    /// The default in the code.
    case code

    /// As it is named in an error.
    public var description: String {
        switch self {
        case .flag(let name): "--\(name)"
        case .environment(let name): name
        case .file(let path, let line): "\(path):\(line)"
        case .secretFile(let path): path
        case .code: "default"
        }
    }
}

/// What is wrong with the command line, the environment or a configuration file.
public enum ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The command line is not understood.
    case usage(String)
    /// A value is not one of its key.
    case badValue(key: String, value: String, expected: String, source: ConfigurationSource)
    /// A key without default is not set.
    case missing(key: String, environment: String, help: String)
    /// A configuration file cannot be read, or has a line that is not understood.
    case badFile(String)
    /// Two values do not go together.
    case conflict(String)

    /// What is wrong, and what to do.
    public var description: String {
        switch self {
        case .usage(let text), .badFile(let text), .conflict(let text): text
        case .badValue(let key, let value, let expected, let source):
            "\(key): \"\(value)\" (from \(source)) is not allowed: expected \(expected)"
        case .missing(let key, let environment, let help):
            "\(key) is not set: give --\(key) or set \(environment) (\(help))"
        }
    }
}

extension ConfigurationError: ExitCodeError {
    /// 64 for the command line, 78 for the rest.
    public var exitCode: ExitCode {
        if case .usage = self { .usage } else { .configuration }
    }
}
