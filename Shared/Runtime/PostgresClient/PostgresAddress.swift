import CLibpq
import Bytes

/// Where a database is: a `postgresql://` URL or a `key=value` text, with the password kept out of every description.
public struct PostgresAddress: Sendable, CustomStringConvertible {
    package let text: String
    /// How long connecting may take where the address says so: libpq heeds its parameter only when it waits by itself.
    package let connectTimeout: Duration?
    private let secrets: [String]
    /// Host, port, database and user, without the password.
    public let description: String

    /// Reads an address.
    ///
    /// - Parameter text: as libpq takes it: `postgresql://user@host:5432/database` or `host=... dbname=...`; its
    ///   `connect_timeout`, in seconds, is how long connecting may take.
    /// - Throws: `PostgresError` that says what is wrong with it.
    public init(_ text: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            defer { if let message { PQfreemem(message) } }
            let words = message.map { String(cString: $0) } ?? "out of memory"
            throw Self.unreadable(text, Self.withoutQuotations(words))
        }
        defer { PQconninfoFree(options) }
        var values: [String: String] = [:]
        var index = 0
        while let keyword = options[index].keyword {
            if let value = options[index].val { values[String(cString: keyword)] = String(cString: value) }
            index += 1
        }
        guard Self.isUnambiguous(text), (values["port"] ?? "").allSatisfy({ $0.isNumber || $0 == "," }) else {
            // libpq would take a part of the password for a host, a port or a database, and name it in its errors.
            throw Self.unreadable(
                text,
                "a port is a number, and in a user or password / is written %2F, @ %40, : %3A, ? %3F and % %25"
            )
        }
        connectTimeout = try values["connect_timeout"].flatMap { value throws(PostgresError) in
            guard let seconds = Int32(value), seconds >= 0 else {
                throw Self.unreadable(text, "connect_timeout is a number of seconds, or 0 for as long as it takes")
            }
            // As long as it takes is a day: no wait is without an end.
            return .seconds(seconds == 0 ? 86_400 : min(seconds, 86_400))
        }
        self.text = text
        secrets = ["password", "sslpassword"].compactMap { values[$0] } + Redaction.secrets(in: text)
        let place = "\(values["host"] ?? values["hostaddr"] ?? "the local server"):\(values["port"] ?? "5432")"
        description =
            "database \(values["dbname"] ?? "of the user's name") at \(place) as \(values["user"] ?? "the system user")"
    }

    /// A text without the secrets of this address.
    package func redacted(_ text: String) -> String { Redaction.hiding(secrets, in: text) }

    private static func unreadable(_ address: String, _ reason: String) -> PostgresError {
        PostgresError(
            code: PostgresError.Code(rawValue: "08001"),
            message: "\(reason); write postgresql://user@host:port/database",
            operation: "the database's address \(Redaction.address(address)) cannot be read"
        )
    }

    /// libpq's message without its quotations, which contain a piece of the address and possibly of the password.
    private static func withoutQuotations(_ text: String) -> String {
        let text = text.split(separator: "\n").joined(separator: "; ")
        guard let first = text.firstIndex(of: "\""), let last = text.lastIndex(of: "\""), first < last else {
            return text
        }
        return text[..<first] + Redaction.mark + text[text.index(after: last)...]
    }

    /// Whether a URL's user and password end where libpq takes them to end: at the one `@`, before any `/`.
    private static func isUnambiguous(_ text: String) -> Bool {
        guard let scheme = text.firstRange(of: "://"), !text[..<scheme.lowerBound].contains("=") else { return true }
        let rest = text[scheme.upperBound...]
        let path = rest.firstIndex(of: "/") ?? rest.endIndex
        let query = rest[path...].firstIndex(of: "?") ?? rest.endIndex
        return rest[..<path].count { $0 == "@" } <= 1 && !rest[path..<query].contains("@")
    }
}
