import Bytes

/// A cursor into a message in Protocol Buffers' wire format, for records that are read too often to unpack with
/// protobuf-c.
///
/// - Source: https://protobuf.dev/programming-guides/encoding
struct ProtobufCursor {
    /// The wire type, which precedes a field's value.
    enum WireType: UInt64 {
        case varint = 0
        case fixed64 = 1
        case bytes = 2
        case fixed32 = 5
    }

    /// The next byte to read.
    private(set) var position: Int
    /// One past the last byte.
    let end: Int

    init(_ range: Range<Int>) {
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position >= end }

    /// The number of the next field and how its value is written.
    @inline(__always)
    mutating func field(_ bytes: Span<UInt8>) throws(MessageError) -> (number: UInt64, type: WireType) {
        let tag = try varint(bytes)
        guard let type = WireType(rawValue: tag & 7), tag >= 8 else { throw damaged("no field begins") }
        return (tag >> 3, type)
    }

    /// A varint: 7 bits per byte.
    @inline(__always)
    mutating func varint(_ bytes: Span<UInt8>) throws(MessageError) -> UInt64 {
        guard position < end else { throw damaged("a number is cut off") }
        guard let value = Varint.read(bytes, at: &position, before: end) else { throw damaged("a number does not end") }
        return value
    }

    /// How many varints are left.
    func varintCount(_ bytes: Span<UInt8>) -> Int {
        bytes.extracting(position..<end).withUnsafeBufferPointer { bytes in
            bytes.reduce(0) { $0 + Int($1 >> 7 ^ 1) }
        }
    }

    /// A varint that must fit into 32 bits.
    mutating func varint32(_ bytes: Span<UInt8>) throws(MessageError) -> UInt32 {
        guard let value = UInt32(exactly: try varint(bytes)) else { throw damaged("a number has more than 32 bits") }
        return value
    }

    /// A zigzag varint, in which small negative numbers are short too.
    mutating func zigzag(_ bytes: Span<UInt8>) throws(MessageError) -> Int64 {
        let value = try varint(bytes)
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// A little-endian number of 8 bytes.
    mutating func fixed64(_ bytes: Span<UInt8>) throws(MessageError) -> UInt64 {
        var value: UInt64 = 0
        let range = try take(8)
        for index in range.indices.reversed() { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    /// A little-endian number of 4 bytes.
    mutating func fixed32(_ bytes: Span<UInt8>) throws(MessageError) -> UInt32 {
        var value: UInt32 = 0
        let range = try take(4)
        for index in range.indices.reversed() { value = value << 8 | UInt32(bytes[index]) }
        return value
    }

    /// The range of a text, a message or a packed column.
    @inline(__always)
    mutating func range(_ bytes: Span<UInt8>) throws(MessageError) -> Range<Int> {
        let count = try varint(bytes)
        guard count <= UInt64(end - position) else { throw damaged("a field of \(count) bytes is cut off") }
        return try take(Int(count))
    }

    /// Skips a value that is not needed.
    mutating func skip(_ type: WireType, _ bytes: Span<UInt8>) throws(MessageError) {
        switch type {
        case .varint: _ = try varint(bytes)
        case .fixed64: _ = try take(8)
        case .bytes: _ = try range(bytes)
        case .fixed32: _ = try take(4)
        }
    }

    @inline(__always)
    private mutating func take(_ count: Int) throws(MessageError) -> Range<Int> {
        guard count <= end - position else { throw damaged("a field of \(count) bytes is cut off") }
        defer { position += count }
        return position..<(position + count)
    }

    /// An error at this position.
    @inline(never)
    func damaged(_ reason: String) -> MessageError {
        MessageError(field: nil, reason: "the bytes are not Protocol Buffers: \(reason) at byte \(position)")
    }
}
