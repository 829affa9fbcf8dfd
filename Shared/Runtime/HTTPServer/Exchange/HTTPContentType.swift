/// What a body is said to be, taken apart.
public struct HTTPContentType: Sendable, Equatable {
    /// The type without parameters, in lower case, as in `application/json`.
    public let type: String
    /// How its text is encoded, in lower case and without quotes; nil when that is not said.
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
