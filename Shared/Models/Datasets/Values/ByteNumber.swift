/// Parses numbers from bytes, without a `String` for numbers in the usual notation.
enum ByteNumber {
    /// A whole number; nil when the bytes are not one.
    static func integer(_ bytes: [UInt8], _ range: Range<Int>) -> Int64? {
        var index = range.lowerBound
        let isNegative = index < range.upperBound && bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        // 18 digits always fit, as do most numbers of 19, such as times in nanoseconds; no number of 20 does.
        guard index < range.upperBound, range.upperBound - index <= 19 else { return nil }
        var value: UInt64 = 0
        while index < range.upperBound {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            value = value &* 10 &+ UInt64(digit)
            index += 1
        }
        return Int64(exactly: value).map { isNegative ? -$0 : $0 }
    }

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
