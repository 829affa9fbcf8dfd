/// A record that travels over a topic: Protocol Buffers, or JSON where it begins with `{` or its `content-type` says
/// so.
public protocol WireRecord: Sendable {
    /// The record's Protocol Buffers form, as in the `.proto` file beside this one.
    func encoded() throws(MessageError) -> [UInt8]

    /// The record's JSON form, in UTF-8.
    func encodedJSON() throws(MessageError) -> [UInt8]

    /// Reads a record.
    ///
    /// - Parameters:
    ///   - bytes: the record's value.
    ///   - contentType: the `content-type` header; see `ContentType`.
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    init(decoding bytes: [UInt8], contentType: String?) throws(MessageError)

    /// Checks sizes and ranges; reading and writing do it too.
    func validate() throws(MessageError)
}

/// What a record's value is.
public enum ContentType: Sendable {
    /// Protocol Buffers.
    case protobuf
    /// JSON in UTF-8.
    case json

    /// The header's name.
    public static let header = "content-type"
    /// The header's value for JSON.
    public static let jsonValue = "application/json"

    /// Determines what a value is from its first byte and its header.
    ///
    /// Kafka Connect, ksqlDB, Debezium and plain producers send no header. A value that begins with `{` is JSON
    /// whatever the header says: no Protocol Buffers record of ours can begin so. A header's parameters, as in
    /// `application/json; charset=utf-8`, are ignored; text that is not UTF-8 is rejected by its reader.
    ///
    /// - Throws: `MessageError` for an unknown type, and for a schema registry's framing, whose schema it names.
    public init(header: String?, value bytes: [UInt8]) throws(MessageError) {
        if let schema = Self.registeredSchema(bytes) {
            throw MessageError(
                field: nil,
                reason:
                    "begins with byte 0 and the schema id \(schema), as the serializers of a schema registry frame records: "
                    + "send plain JSON or Protocol Buffers (in Kafka Connect a JsonConverter with schemas.enable=false)"
            )
        }
        // The common case.
        if header == nil || header == "application/x-protobuf" {
            self = Self.isObject(bytes) ? .json : .protobuf
            return
        }
        if header == Self.jsonValue {
            self = .json
            return
        }
        let type = header?.split(separator: ";", omittingEmptySubsequences: false).first.map {
            $0.lowercased().filter { !$0.isWhitespace && $0 != "\"" }
        }
        switch type {
        case nil, "", "application/x-protobuf", "application/protobuf", "application/octet-stream", "text/plain":
            self = Self.isObject(bytes) ? .json : .protobuf
        case "application/json", "text/json": self = .json
        case .some(let type) where type.hasSuffix("+json"): self = .json
        case .some:
            throw MessageError(
                field: Self.header,
                reason: "\(quoted(header ?? "")) is not known: send application/x-protobuf or application/json"
            )
        }
    }

    /// Whether the bytes begin as a JSON object does.
    private static func isObject(_ bytes: [UInt8]) -> Bool {
        bytes.first == UInt8(ascii: "{") || bytes.starts(with: [0xEF, 0xBB, 0xBF, UInt8(ascii: "{")])
    }

    /// The schema id in a schema registry's framing: byte 0, then four bytes in big-endian order.
    ///
    /// Neither Protocol Buffers nor JSON can begin with byte 0.
    private static func registeredSchema(_ bytes: [UInt8]) -> UInt32? {
        guard bytes.count >= 5, bytes[0] == 0 else { return nil }
        return bytes[1...4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// Why a record could not be read or written.
public struct MessageError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The field at fault; nil when the bytes as a whole are.
    public var field: String?
    /// What is wrong, with the value, and what is expected instead.
    public var reason: String

    /// Makes an error.
    public init(field: String?, reason: String) {
        self.field = field
        self.reason = reason
    }

    /// The field and the reason in one line.
    public var description: String {
        if let field { "\(field): \(reason)" } else { reason }
    }
}
