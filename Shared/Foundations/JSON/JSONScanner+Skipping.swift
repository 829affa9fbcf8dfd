extension JSONScanner {
    /// Skips the next value, whatever it is, and validates all of it.
    public mutating func skipValue() throws(JSONError) { _ = try skipValue(within: .max) }

    /// Skips the next value unless it is too long, and validates what it skips.
    ///
    /// - Parameter byteCount: after so many bytes it stops at the next of the value's parts, so that no value decides
    ///   how long this takes.
    /// - Returns: whether the value is passed; else the scanner is inside it, and is of no more use.
    /// - Throws: `JSONError` for text that is not JSON.
    public mutating func skipValue(within byteCount: Int) throws(JSONError) -> Bool {
        var open = OpenValues()
        let end = min(byteCount, range.upperBound - index) + index
        repeat {
            try skipOne(&open)
            // After a value: the ends of what it is the last of, or a comma.
            while let end = open.end {
                guard let byte = peek() else { throw syntaxError("\(Self.text(of: end)) that closes a value") }
                if byte == end {
                    index += 1
                    depth -= 1
                    open.close()
                } else if byte == UInt8(ascii: ",") {
                    index += 1
                    if peek() == end {
                        guard syntax == .python else { throw syntaxError("a value after the comma") }
                        continue
                    }
                    try skipName(in: end)
                    break
                } else {
                    throw syntaxError("a comma or \(Self.text(of: end))")
                }
            }
            if index > end { return open.end == nil }
        } while open.end != nil
        return true
    }

    /// Skips `null`, if that is the next value.
    public mutating func takeNull() -> Bool {
        let byte = peek()
        return syntax == .python
            ? byte == UInt8(ascii: "N") && take(word: "None") : byte == UInt8(ascii: "n") && take(word: "null")
    }

    /// The next value as an error shows it; skips it.
    public mutating func valueText() throws(JSONError) -> String {
        let first = peek()
        if isAtString() { return JSONError.shown(try string()) }
        let start = index
        try skipValue()
        switch first {
        case UInt8(ascii: "{"): return "an object"
        case UInt8(ascii: "["), UInt8(ascii: "("): return "an array"
        default:
            let count = JSONError.shownCount
            return index - start > count ? text(start..<start + count) + "…" : text(start..<index)
        }
    }

    /// Skips a value without parts, or enters one with parts.
    private mutating func skipOne(_ open: inout OpenValues) throws(JSONError) {
        while true {
            guard let byte = peek() else { throw syntaxError("a value") }
            let end: UInt8
            switch byte {
            case UInt8(ascii: "{"): end = UInt8(ascii: "}")
            case UInt8(ascii: "["): end = UInt8(ascii: "]")
            case UInt8(ascii: "(") where syntax == .python: end = UInt8(ascii: ")")
            default: return try skipPlain(byte)
            }
            try deepen()
            index += 1
            if peek() == end {
                index += 1
                depth -= 1
                return
            }
            open.open(end)
            try skipName(in: end)
        }
    }

    private mutating func skipPlain(_ byte: UInt8) throws(JSONError) {
        switch byte {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): _ = try number()
        case _ where isAtString():
            let (string, hasEscapes) = try stringRange()
            if hasEscapes { try checkEscapes(string) }
        default: guard skipWord() else { throw syntaxError("a value") }
        }
    }

    /// In an object, skips the name of a field.
    private mutating func skipName(in end: UInt8) throws(JSONError) {
        guard end == UInt8(ascii: "}") else { return }
        if isAtString() || syntax != .python {
            let (name, hasEscapes) = try stringRange()
            if hasEscapes { try checkEscapes(name) }
        } else {
            // Python's dictionaries may have numbers as names.
            _ = try number()
        }
        try takeColon()
    }

    private mutating func skipWord() -> Bool {
        switch syntax {
        case .json, .publishedJSON: take(word: "null") || take(word: "true") || take(word: "false")
        case .python: take(word: "None") || take(word: "True") || take(word: "False")
        }
    }
}

/// The closing brackets still to come, innermost last: two bits for each, as there are at most
/// `JSONScanner.maximumDepth`.
private struct OpenValues {
    private var objects: UInt64 = 0
    private var tuples: UInt64 = 0
    private var count = 0

    /// What closes the innermost value; nil when none is open.
    var end: UInt8? {
        guard count > 0 else { return nil }
        if objects & 1 == 1 { return UInt8(ascii: "}") }
        return tuples & 1 == 1 ? UInt8(ascii: ")") : UInt8(ascii: "]")
    }

    mutating func open(_ end: UInt8) {
        objects = objects << 1 | (end == UInt8(ascii: "}") ? 1 : 0)
        tuples = tuples << 1 | (end == UInt8(ascii: ")") ? 1 : 0)
        count += 1
    }

    mutating func close() {
        objects >>= 1
        tuples >>= 1
        count -= 1
    }
}
