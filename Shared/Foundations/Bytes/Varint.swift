/// Whole numbers with 7 bits in a byte, the least significant first.
///
/// - Source: https://protobuf.dev/programming-guides/encoding
public enum Varint {
    /// Reads a number; nil when it does not end before `end`, or has more than 64 bits.
    ///
    /// Most numbers have one byte, and that case is inlined.
    ///
    /// - Parameters:
    ///   - bytes: the buffer that holds the number.
    ///   - position: where it begins; is moved past what was read.
    ///   - end: one past the last byte that may be read.
    /// - Returns: the number.
    @inlinable
    @inline(__always)
    public static func read(_ bytes: Span<UInt8>, at position: inout Int, before end: Int) -> UInt64? {
        guard position < end else { return nil }
        let byte = bytes[position]
        position += 1
        return byte < 0x80 ? UInt64(byte) : readRest(bytes, at: &position, before: end, UInt64(byte & 0x7F))
    }

    /// Appends a number.
    public static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    @inlinable
    static func readRest(_ bytes: Span<UInt8>, at position: inout Int, before end: Int, _ first: UInt64) -> UInt64? {
        var value = first
        var shift: UInt64 = 7
        while true {
            guard position < end, shift < 64 else { return nil }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }
}
