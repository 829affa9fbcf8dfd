/// A record that travels over a topic: Protocol Buffers, or JSON where the `content-type` header says so.
public protocol WireRecord: Sendable {
    /// The record's Protocol Buffers form, as in the `.proto` file beside this one.
    func encoded() throws(MessageError) -> [UInt8]

    /// Reads a record.
    ///
    /// - Parameters:
    ///   - bytes: the record's value.
    ///   - contentType: the `content-type` header; nil or `application/x-protobuf` means Protocol Buffers,
    ///     `application/json` the JSON form.
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    init(decoding bytes: [UInt8], contentType: String?) throws(MessageError)
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
