extension Int64 {
    /// A whole number in decimal digits, at most 19, with or without a minus; nil when the bytes are anything else.
    ///
    /// - Parameters:
    ///   - bytes: the buffer that holds the digits.
    ///   - range: their range there.
    @inlinable
    public init?(decimalDigits bytes: [UInt8], _ range: Range<Int>) {
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
        guard let magnitude = Int64(exactly: value) else { return nil }
        self = isNegative ? -magnitude : magnitude
    }
}
