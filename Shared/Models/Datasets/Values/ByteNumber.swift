/// Parses numbers from bytes, without a `String` for numbers in the usual notation.
enum ByteNumber {
    /// A finite number; nil when the bytes are not one.
    static func decimal(_ bytes: [UInt8], _ range: Range<Int>) -> Float? {
        var value = 0.0
        var scale = 1.0
        var digits = 0
        var isFraction = false
        for index in range {
            let digit = bytes[index] &- UInt8(ascii: "0")
            if digit <= 9 {
                value = value * 10 + Double(digit)
                if isFraction { scale *= 10 }
                digits += 1
            } else if bytes[index] == UInt8(ascii: "."), !isFraction, digits > 0 {
                isFraction = true
            } else {
                digits = .max
                break
            }
        }
        // That few digits are exact in a Double, and rounding it to Float is the same as rounding the text.
        if digits > 0, digits <= 7 { return Float(value / scale) }
        guard let text = String(validating: bytes[range], as: UTF8.self), let value = Float(text), value.isFinite else {
            return nil
        }
        return value
    }
}
