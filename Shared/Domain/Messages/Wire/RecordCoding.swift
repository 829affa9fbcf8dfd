internal import JSON

/// What is written as a JSON object.
protocol JSONWritable {
    /// The object's fields.
    associatedtype Field: ObjectField

    /// Writes the fields that there are.
    func write(to json: inout KeyedEncodingContainer<Field>) throws
}

/// What is read from a JSON object.
protocol JSONReadable {
    init(_ scanner: inout JSONScanner) throws(JSONError)
}

/// The JSON form of an object.
struct JSONForm<Object: JSONWritable>: Encodable {
    let object: Object

    init(_ object: Object) { self.object = object }

    func encode(to encoder: any Encoder) throws {
        var json = encoder.container(keyedBy: Object.Field.self)
        try object.write(to: &json)
    }
}

/// A record whose two forms are written and read field by field, and validated either way.
protocol RecordCoding: WireRecord, JSONWritable, JSONReadable {
    /// Reads the Protocol Buffers form.
    init(protobuf bytes: [UInt8]) throws(MessageError)

    /// The Protocol Buffers form.
    func packedUnchecked() -> [UInt8]
}

extension RecordCoding {
    /// The record's Protocol Buffers form.
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        return packedUnchecked()
    }

    /// The record's JSON form, for people and tools.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(JSONForm(self))
    }

    /// Reads a record; see `WireRecord`.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json: self = try decodedJSON(bytes) { scanner throws(JSONError) in try Self(&scanner) }
        }
        try validate()
    }
}
