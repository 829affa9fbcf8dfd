extension ValueScanner {
    /// Adds a string's bytes with its escapes resolved.
    ///
    /// - Source: RFC 8259, section 7; Python's reference, section 2.4.1.
    func unescape(_ string: Range<Int>, into text: inout [UInt8]) throws(DatasetError) {
        var index = string.lowerBound
        while index < string.upperBound {
            let byte = self[index]
            index += 1
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                continue
            }
            let escape = index < string.upperBound ? self[index] : 0
            index += 1
            switch escape {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape)
            case UInt8(ascii: "'") where syntax == .python: text.append(escape)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "x") where syntax == .python:
                append(try hexadecimal(&index, digits: 2, end: string.upperBound), to: &text)
            case UInt8(ascii: "u"):
                append(try codeUnits(&index, end: string.upperBound), to: &text)
            case UInt8(ascii: "U") where syntax == .python:
                append(try hexadecimal(&index, digits: 8, end: string.upperBound), to: &text)
            default:
                throw DatasetError(
                    value: "\\" + String(decoding: [escape], as: UTF8.self),
                    reason: "is not an escape in a string"
                )
            }
        }
    }

    /// A character written as `\\uXXXX`, or two of those for one past U+FFFF.
    private func codeUnits(_ index: inout Int, end: Int) throws(DatasetError) -> UInt32 {
        let first = try hexadecimal(&index, digits: 4, end: end)
        guard (0xD800..<0xDC00).contains(first), end - index >= 6, self[index] == UInt8(ascii: "\\"),
            self[index + 1] == UInt8(ascii: "u")
        else { return first }
        var next = index + 2
        let second = try hexadecimal(&next, digits: 4, end: end)
        guard (0xDC00..<0xE000).contains(second) else { return first }
        index = next
        return 0x1_0000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }

    private func hexadecimal(_ index: inout Int, digits: Int, end: Int) throws(DatasetError) -> UInt32 {
        var value: UInt32 = 0
        for offset in 0..<digits {
            let byte = index + offset < end ? self[index + offset] : 0
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 0x80 else {
                throw DatasetError(reason: "has an escape in a string without its \(digits) hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
        }
        index += digits
        return value
    }

    /// Half of a pair stands for no character: published reviews have some, where a text was cut.
    private func append(_ value: UInt32, to text: inout [UInt8]) {
        text.append(contentsOf: String(Character(UnicodeScalar(value) ?? "\u{FFFD}")).utf8)
    }
}
