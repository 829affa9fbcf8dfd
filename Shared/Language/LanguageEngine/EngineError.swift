/// Why the engine does not take a request.
public enum EngineError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A value is out of range, or can never be served with this model and these bounds.
    case invalid(field: String, value: String, expected: String)
    /// As many sequences wait as may.
    case full(waiting: Int)

    /// What is wrong and what is expected, in one line.
    public var description: String {
        switch self {
        case .invalid(let field, let value, let expected): "\(field) is \(value), expected \(expected)"
        case .full(let waiting): "\(waiting) sequences wait already: try again later"
        }
    }
}

/// Throws unless `holds`.
func check(
    _ field: String,
    _ value: some Any,
    _ holds: Bool,
    _ expected: @autoclosure () -> String
) throws(EngineError) {
    if !holds { throw .invalid(field: field, value: "\(value)", expected: expected()) }
}
