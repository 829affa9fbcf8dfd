/// What PostgreSQL or the connection to it says went wrong.
public struct PostgresError: Error, Sendable, Equatable, CustomStringConvertible {
    /// An SQLSTATE, as in `23505`; empty when the server did not speak.
    public struct Code: RawRepresentable, Sendable, Hashable {
        /// The five characters.
        public let rawValue: String

        /// Names a code.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// No reply from the server: the connection failed or broke.
        public static let none = Code(rawValue: "")
        /// A write by a client that does not own what it writes, or whose expected offset is not the stored one.
        public static let fenced = Code(rawValue: "UL001")
        /// A table or schema of this system is missing.
        public static let undefinedTable = Code(rawValue: "42P01")
        /// A schema that does not exist.
        public static let undefinedSchema = Code(rawValue: "3F000")
        /// A function that does not exist.
        public static let undefinedFunction = Code(rawValue: "42883")
        /// A value that is not in the form its column has.
        public static let invalidValue = Code(rawValue: "22P03")
        /// A unique key already existed.
        public static let uniqueViolation = Code(rawValue: "23505")
        /// The statement took longer than it may.
        public static let queryCanceled = Code(rawValue: "57014")
        /// A read-only session: of a database with that setting, or of a standby.
        public static let readOnly = Code(rawValue: "25006")
        /// The server is starting.
        public static let cannotConnectNow = Code(rawValue: "57P03")
    }

    /// What to do about an error.
    public enum Kind: Sendable {
        /// The connection or the server is gone or overloaded: connect again with back-off, and never reject a record.
        case connection
        /// A deadlock or a serialization failure: retry at once.
        case retry
        /// A value does not fit: halve the batch until the row is alone, and reject that.
        case data
        /// The writer was fenced: drop the work and claim again.
        case fenced
        /// The schema or the credentials are not what the program needs: stop.
        case configuration
        /// Anything else.
        case other
    }

    /// The SQLSTATE.
    public var code: Code
    /// The server's or the library's words, without values of rows and without passwords.
    public var message: String
    /// What was being done.
    public var operation: String
    /// Whether the statement may have taken effect although it failed.
    public var isOutcomeUnknown: Bool

    /// Makes an error.
    public init(code: Code, message: String, operation: String, isOutcomeUnknown: Bool = false) {
        self.code = code
        self.message = message
        self.operation = operation
        self.isOutcomeUnknown = isOutcomeUnknown
    }

    /// What to do about it.
    public var kind: Kind {
        if code == .fenced { return .fenced }
        switch code.rawValue.prefix(2) {
        case "", "08", "53": return .connection
        case "57": return code == .queryCanceled ? .retry : .connection
        case "40": return .retry
        // idle_in_transaction_session_timeout ends the connection.
        case "25" where code.rawValue == "25P03" || code == .readOnly: return .connection
        case "21", "22", "23", "54": return .data
        case "28", "3D", "3F", "42", "0A": return .configuration
        default: return .other
        }
    }

    /// The operation, the words and the code in one line.
    public var description: String {
        code == .none ? "\(operation): \(message)" : "\(operation): \(message) (SQLSTATE \(code.rawValue))"
    }
}
