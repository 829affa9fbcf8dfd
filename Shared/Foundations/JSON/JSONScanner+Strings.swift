extension JSONScanner {
    /// Whether the next value is a string.
    public mutating func isAtString() -> Bool {
        let byte = peek()
        return byte == UInt8(ascii: "\"") || (byte == UInt8(ascii: "'") && syntax == .python)
    }

    /// Reads the next value, a string.
    public mutating func string() throws(JSONError) -> String {
        guard isAtString() else { throw try mismatch("a string") }
        let (string, hasEscapes) = try stringRange()
        guard hasEscapes else { return text(string) }
        var text: [UInt8] = []
        try unescape(string, into: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Adds the next value, a string, to bytes; they are UTF-8.
    public mutating func string(into text: inout [UInt8]) throws(JSONError) {
        guard isAtString() else { throw try mismatch("a string") }
        let (string, hasEscapes) = try stringRange()
        guard hasEscapes else { return text.append(contentsOf: bytes[string]) }
        try unescape(string, into: &text)
    }

    /// The range of the next value, a string, without its quotes, and whether it has escapes; its bytes are UTF-8.
    public mutating func stringRange() throws(JSONError) -> (range: Range<Int>, hasEscapes: Bool) {
        guard isAtString() else { throw syntaxError("a string in quotes") }
        let start = index + 1
        let (end, hasEscapes, isASCII) = endOfString(start, quote: bytes[index])
        guard end < range.upperBound else { throw syntaxError("a string that ends") }
        guard bytes[end] == bytes[index] else {
            index = end
            throw syntaxError("no control character in a string")
        }
        // ASCII is the common case, and needs no further check.
        if !isASCII { try checkText(start..<end) }
        index = end + 1
        return (start..<end, hasEscapes)
    }

    /// The position of a string's closing quote, of a character that no string may have, or of the end of the text.
    private func endOfString(_ start: Int, quote: UInt8) -> (end: Int, hasEscapes: Bool, isASCII: Bool) {
        let text = bytes.span
        let end = range.upperBound
        let leastByte: UInt8 = syntax == .python ? 0 : 0x20
        var place = start
        var hasEscapes = false
        var allBits: UInt8 = 0
        while place < end {
            let byte = text[place]
            if byte == quote || byte < leastByte { break }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                place += 1
            }
            allBits |= byte
            place += 1
        }
        return (min(place, end), hasEscapes, allBits < 0x80)
    }

    private mutating func checkText(_ string: Range<Int>) throws(JSONError) {
        do {
            _ = try UTF8Span(validating: bytes.span.extracting(string))
        } catch {
            index = string.lowerBound + error.byteOffsets.lowerBound
            throw notUTF8(index)
        }
    }

    /// An error that says that a byte is not UTF-8.
    func notUTF8(_ place: Int) -> JSONError {
        let digits = String(bytes[place], radix: 16, uppercase: true)
        let number = place - range.lowerBound + 1
        return JSONError(reason: "is not UTF-8 (0x\(digits) at byte \(number)): send text in UTF-8")
    }

    // MARK: - Escapes

    /// Checks the escapes of a string that is skipped.
    func checkEscapes(_ string: Range<Int>) throws(JSONError) {
        var place = string.lowerBound
        while place < string.upperBound {
            if bytes[place] == UInt8(ascii: "\\") {
                place += 1
                _ = try escaped(&place, string)
            } else {
                place += 1
            }
        }
    }

    /// Adds a string's bytes with its escapes resolved.
    ///
    /// - Source: RFC 8259, section 7; Python's reference, section 2.4.1.
    func unescape(_ string: Range<Int>, into text: inout [UInt8]) throws(JSONError) {
        text.reserveCapacity(text.count + string.count)
        var place = string.lowerBound
        while place < string.upperBound {
            let byte = bytes[place]
            place += 1
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                continue
            }
            guard let scalar = try escaped(&place, string) else { continue }
            text.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
        }
    }

    /// The character of an escape, whose backslash is passed; nil for a line that is continued.
    private func escaped(_ place: inout Int, _ string: Range<Int>) throws(JSONError) -> Unicode.Scalar? {
        let start = place - 1
        let escape = place < string.upperBound ? bytes[place] : 0
        place += 1
        switch escape {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(escape)
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "u"): return try codeUnits(&place, string, start)
        case _ where syntax == .python: return try pythonEscaped(escape, &place, string, start)
        default: throw wrongEscape(start, "is not an escape in a string")
        }
    }

    private func pythonEscaped(
        _ escape: UInt8,
        _ place: inout Int,
        _ string: Range<Int>,
        _ start: Int
    ) throws(JSONError) -> Unicode.Scalar? {
        switch escape {
        case UInt8(ascii: "'"): return "'"
        case UInt8(ascii: "a"): return "\u{7}"
        case UInt8(ascii: "v"): return "\u{B}"
        case UInt8(ascii: "\n"): return nil
        case UInt8(ascii: "x"): return Unicode.Scalar(try hexadecimal(&place, digits: 2, string, start))
        case UInt8(ascii: "U"):
            return Unicode.Scalar(try hexadecimal(&place, digits: 8, string, start)) ?? "\u{FFFD}"
        default: throw wrongEscape(start, "is not an escape in a string")
        }
    }

    /// A character written as `\\uXXXX`, or two of those for one past U+FFFF.
    private func codeUnits(_ place: inout Int, _ string: Range<Int>, _ start: Int) throws(JSONError) -> Unicode.Scalar {
        let first = try hexadecimal(&place, digits: 4, string, start)
        if let scalar = Unicode.Scalar(first) { return scalar }
        if first < 0xDC00, string.upperBound - place >= 6, bytes[place] == UInt8(ascii: "\\"),
            bytes[place + 1] == UInt8(ascii: "u")
        {
            var next = place + 2
            let second = try hexadecimal(&next, digits: 4, string, place)
            if (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(0x1_0000 + (first - 0xD800) << 10 + (second - 0xDC00))
            {
                place = next
                return scalar
            }
        }
        // Half of a pair stands for no character.
        guard syntax == .json else { return "\u{FFFD}" }
        throw wrongEscape(
            start,
            "is half of a surrogate pair, which is no character: send both halves, or the character"
        )
    }

    private func hexadecimal(
        _ place: inout Int,
        digits: Int,
        _ string: Range<Int>,
        _ start: Int
    ) throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for offset in 0..<digits {
            let byte = place + offset < string.upperBound ? bytes[place + offset] : 0
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw wrongEscape(start, "is an escape in a string without its \(digits) hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
        }
        place += digits
        return value
    }

    private func wrongEscape(_ start: Int, _ reason: String) -> JSONError {
        let end = min(start + 6, range.upperBound)
        let shown = JSONError.shown(String(decoding: bytes[start..<end], as: UTF8.self))
        return JSONError(value: shown, reason: reason, byte: start - range.lowerBound + 1)
    }
}
