/// A body's declared content type, parsed.
public struct HTTPContentType: Sendable, Equatable {
    /// The type without parameters, in lower case, as in `application/json`.
    public let type: String
    /// The charset of its text, in lower case and without quotes; nil when none is declared.
    public let charset: String?

    /// Reads a `Content-Type` header.
    public init(_ header: String) {
        type = String(header.prefix { $0 != ";" }.filter { !$0.isWhitespace }).lowercased()
        let text = header.lowercased()
        charset = text.firstRange(of: "charset=").map { place in
            text[place.upperBound...].prefix { $0 != ";" && $0 != " " }.filter { $0 != "\"" }
        }
    }
}
