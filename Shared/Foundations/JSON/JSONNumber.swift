import Bytes

/// The value of a number in the notation of RFC 8259.
enum JSONNumber {
    /// A number in parts: 0, or `digits` times a power of ten.
    private struct Parts {
        var isNegative = false
        /// The digits from the first to the last that is not 0, as far as 19 of them go.
        var digits: UInt64 = 0
        /// How many digits there are; more than 19 when `digits` does not hold them all.
        var digitCount = 0
        /// The power of ten; saturated, so that no exponent can overflow.
        var scale = 0
    }

    /// Digits in an exponent past which every number is 0 or infinite, however long its mantissa may be in memory.
    private static let farthest = 1 << 48

    static func signed(_ bytes: [UInt8], _ range: Range<Int>) -> Int64? {
        if let value = Int64(decimalDigits: bytes, range) { return value }
        let parts = parts(bytes, range)
        guard let magnitude = whole(parts) else { return nil }
        if !parts.isNegative { return Int64(exactly: magnitude) }
        return magnitude <= UInt64(Int64.max) + 1 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil
    }

    static func unsigned(_ bytes: [UInt8], _ range: Range<Int>) -> UInt64? {
        if let value = Int64(decimalDigits: bytes, range) { return UInt64(exactly: value) }
        let parts = parts(bytes, range)
        guard let magnitude = whole(parts), magnitude == 0 || !parts.isNegative else { return nil }
        return magnitude
    }

    static func double(_ bytes: [UInt8], _ range: Range<Int>) -> Double? {
        let parts = parts(bytes, range)
        // Both numbers are exact, so one operation rounds once.
        if parts.digitCount <= 19, parts.digits <= 1 << 53, abs(parts.scale) <= 22 {
            let digits = Double(parts.digits)
            let value = parts.scale < 0 ? digits / power(-parts.scale) : digits * power(parts.scale)
            return parts.isNegative ? -value : value
        }
        return Double(String(decoding: bytes[range], as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
    }

    static func float(_ bytes: [UInt8], _ range: Range<Int>) -> Float? {
        let parts = parts(bytes, range)
        // Both numbers are exact as a Float, and a Double's quotient of two such numbers has more than twice the
        // digits, so that rounding it once more gives what rounding once would (Figueroa, "When is double rounding
        // innocuous?").
        if parts.digitCount <= 19, parts.digits <= 1 << 24, abs(parts.scale) <= 10 {
            let digits = Double(parts.digits)
            let value = Float(parts.scale < 0 ? digits / power(-parts.scale) : digits * power(parts.scale))
            return parts.isNegative ? -value : value
        }
        return Float(String(decoding: bytes[range], as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
    }

    private static func whole(_ parts: Parts) -> UInt64? {
        guard parts.digits != 0 else { return 0 }
        guard parts.scale >= 0, parts.digitCount <= 20, parts.digitCount + parts.scale <= 20 else { return nil }
        var value = parts.digits
        for _ in 0..<parts.scale {
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            guard !isTooLarge else { return nil }
            value = product
        }
        return value
    }

    private static func parts(_ bytes: [UInt8], _ range: Range<Int>) -> Parts {
        var parts = Parts()
        var fractionCount = 0
        var zeros = 0
        var isFraction = false
        var isWide = false
        var index = range.lowerBound
        mantissa: while index < range.upperBound {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "-"): parts.isNegative = true
            case UInt8(ascii: "."): isFraction = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"): break mantissa
            default:
                if isFraction { fractionCount += 1 }
                let digit = byte &- UInt8(ascii: "0")
                if digit == 0 {
                    // Counts only when another digit comes after it.
                    if parts.digitCount > 0 { zeros += 1 }
                } else {
                    parts.digitCount += zeros + 1
                    for _ in 0..<min(zeros, 20) { isWide = shift(&parts.digits, 0) || isWide }
                    isWide = shift(&parts.digits, digit) || isWide
                    zeros = 0
                }
            }
            index += 1
        }
        // Twenty digits may still fit into 64 bits; their count shows that they do not.
        if isWide { parts.digitCount = max(parts.digitCount, 21) }
        parts.scale = zeros - fractionCount
        if parts.digits == 0 { parts.scale = 0 } else { parts.scale += exponent(bytes, index, range.upperBound) }
        return parts
    }

    /// Appends a digit; true when there was no room for it.
    private static func shift(_ digits: inout UInt64, _ digit: UInt8) -> Bool {
        let (product, isTooLarge) = digits.multipliedReportingOverflow(by: 10)
        let (sum, isOver) = product.addingReportingOverflow(UInt64(digit))
        if isTooLarge || isOver { return true }
        digits = sum
        return false
    }

    private static func exponent(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int {
        var value = 0
        var isNegative = false
        for index in start..<end {
            switch bytes[index] {
            case UInt8(ascii: "-"): isNegative = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = min(value * 10 + Int(bytes[index] - UInt8(ascii: "0")), farthest)
            default: break
            }
        }
        return isNegative ? -value : value
    }

    private static func power(_ exponent: Int) -> Double { powers[exponent] }
    /// Those that a Double holds exactly.
    private static let powers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]
}
