/// A record that travels over a topic: Protocol Buffers, or JSON where the `content-type` header says so.
public protocol WireRecord: Sendable {
    /// The record's Protocol Buffers form, as in the `.proto` file beside this one.
    func encoded() throws(MessageError) -> [UInt8]

    /// The record's JSON form, in UTF-8.
    func encodedJSON() throws(MessageError) -> [UInt8]

    /// Reads a record.
    ///
    /// - Parameters:
    ///   - bytes: the record's value.
    ///   - contentType: the `content-type` header; nil or `application/x-protobuf` means Protocol Buffers,
    ///     `application/json` the JSON form.
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    init(decoding bytes: [UInt8], contentType: String?) throws(MessageError)

    /// Checks sizes and ranges; reading and writing do it too.
    func validate() throws(MessageError)
}

/// What the `content-type` header of a record says.
public enum ContentType: Sendable {
    /// Protocol Buffers, also when there is no header.
    case protobuf
    /// JSON in UTF-8.
    case json

    /// The header's name.
    public static let header = "content-type"
    /// The header's value for JSON.
    public static let jsonValue = "application/json"

    /// Reads a header's value; parameters such as `charset=utf-8` are allowed.
    ///
    /// - Throws: `MessageError` for any other type or character set.
    public init(header value: String?) throws(MessageError) {
        guard let value else {
            self = .protobuf
            return
        }
        let parts = value.lowercased().split(separator: ";").map { $0.filter { $0 != " " && $0 != "\"" } }
        for parameter in parts.dropFirst() where parameter.hasPrefix("charset=") && parameter != "charset=utf-8" {
            throw MessageError(field: Self.header, reason: "\(quoted(value)): only charset=utf-8 is read")
        }
        switch parts.first {
        case "application/x-protobuf", "application/protobuf", "application/octet-stream": self = .protobuf
        case "application/json": self = .json
        default:
            throw MessageError(
                field: Self.header,
                reason: "\(quoted(value)) is not known: send application/x-protobuf or application/json"
            )
        }
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
