/// A parameter of a statement, sent in PostgreSQL's binary format.
public enum PostgresValue: Sendable {
    /// NULL.
    case null
    /// `boolean`.
    case bool(Bool)
    /// `int4`.
    case int4(Int32)
    /// `int8`.
    case int8(Int64)
    /// `text`; must have no NUL.
    case text(String)
    /// `bytea`.
    case bytes([UInt8])
    /// `int4[]`.
    case int4s([Int32])
    /// `int8[]`.
    case int8s([Int64?])
    /// `float4[]`.
    case float4s([Float])
    /// `text[]`.
    case texts([String])
    /// `bytea[]`.
    case byteArrays([[UInt8]?])
    /// Any of these, already in binary form; nil for NULL.
    case binary(type: UInt32, [UInt8]?)

    package var typeIdentifier: UInt32 {
        switch self {
        case .null: 0
        case .bool: 16
        case .bytes: 17
        case .int8: 20
        case .int4: 23
        case .text: 25
        case .byteArrays: 1_001
        case .int4s: 1_007
        case .texts: 1_009
        case .int8s: 1_016
        case .float4s: 1_021
        case .binary(let type, _): type
        }
    }

    /// The same value in its binary form.
    package var encoded: PostgresValue {
        var bytes: [UInt8] = []
        return .binary(type: typeIdentifier, encode(into: &bytes) ? bytes : nil)
    }

    /// Appends the value's bytes; false for NULL.
    package func encode(into buffer: inout [UInt8]) -> Bool {
        switch self {
        case .null, .binary(_, nil): return false
        case .binary(_, let bytes?): buffer.append(contentsOf: bytes)
        case .bool(let value): buffer.append(value ? 1 : 0)
        case .int4(let value): buffer.appendBigEndian(value)
        case .int8(let value): buffer.appendBigEndian(value)
        case .text(let value): buffer.append(contentsOf: value.utf8)
        case .bytes(let value): buffer.append(contentsOf: value)
        case .int4s(let values):
            buffer.appendArrayHead(values.count, element: 23)
            for value in values {
                buffer.appendBigEndian(4 as Int32)
                buffer.appendBigEndian(value)
            }
        case .int8s(let values):
            buffer.appendArrayHead(values.count, element: 20)
            for value in values {
                buffer.appendBigEndian((value == nil ? -1 : 8) as Int32)
                if let value { buffer.appendBigEndian(value) }
            }
        case .float4s(let values):
            buffer.appendArrayHead(values.count, element: 700)
            for value in values {
                buffer.appendBigEndian(4 as Int32)
                buffer.appendBigEndian(value.bitPattern)
            }
        case .texts(let values):
            buffer.appendArrayHead(values.count, element: 25)
            for value in values {
                buffer.appendBigEndian(Int32(value.utf8.count))
                buffer.append(contentsOf: value.utf8)
            }
        case .byteArrays(let values):
            buffer.appendArrayHead(values.count, element: 17)
            for value in values {
                buffer.appendBigEndian(Int32(value?.count ?? -1))
                if let value { buffer.append(contentsOf: value) }
            }
        }
        return true
    }
}

extension [UInt8] {
    package mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// One dimension from 1, or none when empty.
    ///
    /// The flag for NULLs is not read by the server.
    fileprivate mutating func appendArrayHead(_ count: Int, element: Int32) {
        appendBigEndian((count == 0 ? 0 : 1) as Int32)
        appendBigEndian(1 as Int32)
        appendBigEndian(element)
        guard count > 0 else { return }
        appendBigEndian(Int32(count))
        appendBigEndian(1 as Int32)
    }
}
