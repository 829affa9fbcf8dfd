import CLibpq

/// Where a database is: a `postgresql://` URL or a `key=value` text, with the password kept out of every description.
public struct PostgresAddress: Sendable, CustomStringConvertible {
    let text: String
    private let secrets: [String]
    /// Host, port, database and user, without the password.
    public let description: String

    /// Reads an address.
    ///
    /// - Parameter text: as libpq takes it: `postgresql://user@host:5432/database` or `host=... dbname=...`.
    /// - Throws: `PostgresError` that says what is wrong with it.
    public init(_ text: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            defer { if let message { PQfreemem(message) } }
            let words = message.map { String(cString: $0) } ?? "out of memory"
            throw PostgresError(
                code: PostgresError.Code(rawValue: "08001"),
                message: Self.redacted(words, Self.guessedSecrets(text)) + "write postgresql://user@host:port/database",
                operation: "the database's address cannot be read"
            )
        }
        defer { PQconninfoFree(options) }
        var values: [String: String] = [:]
        var index = 0
        while let keyword = options[index].keyword {
            if let value = options[index].val { values[String(cString: keyword)] = String(cString: value) }
            index += 1
        }
        self.text = text
        secrets =
            ["password", "sslpassword"].compactMap { values[$0] }.filter { !$0.isEmpty } + Self.guessedSecrets(text)
        let place = "\(values["host"] ?? values["hostaddr"] ?? "the local server"):\(values["port"] ?? "5432")"
        description =
            "database \(values["dbname"] ?? "of the user's name") at \(place) as \(values["user"] ?? "the system user")"
    }

    /// A text without the secrets of this address.
    func redacted(_ text: String) -> String { Self.redacted(text, secrets) }

    private static func redacted(_ text: String, _ secrets: [String]) -> String {
        var result = text
        for secret in secrets {
            var pieces: [Substring] = []
            var rest = result[...]
            while let range = rest.firstRange(of: secret) {
                pieces.append(rest[..<range.lowerBound])
                rest = rest[range.upperBound...]
            }
            result = (pieces + [rest]).joined(separator: "<redacted>")
        }
        return result
    }

    /// What may be a password in a text that libpq could not read, or that it would print as it was written.
    private static func guessedSecrets(_ text: String) -> [String] {
        var secrets: [String] = []
        if let scheme = text.firstRange(of: "://") {
            let rest = text[scheme.upperBound...]
            if let at = rest.lastIndex(of: "@"), let colon = rest[..<at].firstIndex(of: ":") {
                secrets.append(String(rest[rest.index(after: colon)..<at]))
            }
        }
        if let key = text.firstRange(of: "password=") {
            secrets.append(String(text[key.upperBound...].prefix { !" &".contains($0) }))
        }
        return secrets.filter { !$0.isEmpty }
    }
}
