/// A request as a handler sees it, its body complete.
public struct HTTPRequest: Sendable {
    /// The method in capitals.
    public let method: String
    /// The path as it was sent, percent-encoded, without the query.
    public let path: String
    /// The query's names and values, decoded, in order.
    public let query: [(name: String, value: String)]
    /// Headers in order; names as they were sent.
    public let headers: [(name: String, value: String)]
    /// The body.
    public let body: [UInt8]
    /// What the path's `{name}` parts stand for, decoded; the router fills it.
    public internal(set) var pathParameters: [String: String] = [:]

    /// Makes a request.
    public init(
        method: String,
        path: String,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }

    /// The first header of this name, whatever its case.
    public func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }

    /// The first value of this name in the query.
    public func queryValue(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }

    /// The content type without parameters, in lower case.
    public var contentType: String? {
        guard let value = header("content-type") else { return nil }
        let type = value.prefix { $0 != ";" }
        return String(type.filter { !$0.isWhitespace }).lowercased()
    }
}

/// Decodes `%41` and so on.
enum PercentEncoding {
    /// The decoded text; nil when a `%` has no two hexadecimal digits after it, or the bytes are not UTF-8 without NUL.
    static func decode(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
