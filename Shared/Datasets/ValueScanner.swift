internal import InputFiles

/// Goes through the text of a JSON value without building it: only what is asked for is looked at closely.
///
/// The metadata that Amazon's 2014 set has are not JSON but Python: `'...'` and `None`; that is read as well.
struct ValueScanner {
    /// How the text is written.
    enum Syntax: Sendable {
        /// As RFC 8259 has it.
        case json
        /// As Python's `repr` has it: strings in either quotes, `True`, `False`, `None`, tuples.
        case python
    }

    private let bytes: [UInt8]
    private let range: Range<Int>
    let syntax: Syntax
    private var index: Int
    /// Open objects and arrays while a value is passed over; a bound, so that no line can exhaust the stack.
    private static let maximumDepth = 128

    init(_ bytes: [UInt8], _ range: Range<Int>, _ syntax: Syntax = .json) {
        self.bytes = bytes
        self.range = range
        self.syntax = syntax
        index = range.lowerBound
    }

    /// A byte of the text.
    subscript(index: Int) -> UInt8 { bytes[index] }
    /// The next byte's place.
    var position: Int { index }
    /// Part of the text.
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    /// A whole number that stands there; nil when there is none.
    func integer(_ range: Range<Int>) -> Int64? { ByteNumber.integer(bytes, range) }
    /// A number that stands there; nil when it is not finite.
    func decimal(_ range: Range<Int>) -> Float? { ByteNumber.decimal(bytes, range) }

    /// Which of these names a field has; nil for any other.
    func name(_ field: Range<Int>, among names: [[UInt8]]) -> Int? {
        names.firstIndex { bytes.hasSameBytes(field, as: $0, 0..<$0.count) }
    }

    // MARK: - Objects and arrays

    /// Enters an object.
    mutating func beginObject() throws(DatasetError) {
        guard peek() == UInt8(ascii: "{") else { throw error("an object {...}") }
        index += 1
    }

    /// Goes to the value of the object's next field; nil when there is none and the object is left.
    ///
    /// - Returns: where the field's name stands, without its quotes.
    mutating func nextField(isFirst: Bool) throws(DatasetError) -> Range<Int>? {
        guard try nextElement(isFirst: isFirst, end: UInt8(ascii: "}")) else { return nil }
        let name = try stringRange().range
        guard peek() == UInt8(ascii: ":") else { throw error("a colon after the name of a field") }
        index += 1
        return name
    }

    /// Enters an array.
    mutating func beginArray() throws(DatasetError) {
        guard peek() == UInt8(ascii: "[") else { throw error("an array [...]") }
        index += 1
    }

    /// Goes to the array's next value; false when there is none and the array is left.
    mutating func nextValue(isFirst: Bool) throws(DatasetError) -> Bool {
        try nextElement(isFirst: isFirst, end: UInt8(ascii: "]"))
    }

    /// Checks that nothing comes after the value.
    mutating func finish() throws(DatasetError) {
        if peek() != nil { throw error("the end of the line") }
    }

    // MARK: - Values

    /// What the next value begins with; nil at the end.
    mutating func peek() -> UInt8? {
        while index < range.upperBound {
            switch bytes[index] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): index += 1
            default: return bytes[index]
            }
        }
        return nil
    }

    /// Whether the next value is a string.
    mutating func isAtString() -> Bool {
        let byte = peek()
        return byte == UInt8(ascii: "\"") || (byte == UInt8(ascii: "'") && syntax == .python)
    }

    /// Passes over `null`, if that is the next value.
    mutating func takeNull() -> Bool {
        _ = peek()
        return take(word: syntax == .json ? Self.null : Self.none)
    }

    /// Adds the next value, a string, to bytes.
    mutating func string(into text: inout [UInt8]) throws(DatasetError) {
        let (string, hasEscapes) = try stringRange()
        guard hasEscapes else {
            text.append(contentsOf: bytes[string])
            return
        }
        try unescape(string, into: &text)
    }

    /// Where the next value, a number, stands.
    mutating func number() throws(DatasetError) -> Range<Int> {
        _ = peek()
        let start = index
        _ = take("-")
        let isWhole = take("0") || takeDigits()
        let isRight = isWhole && (!take(".") || takeDigits()) && takeExponent()
        if isRight, index == range.upperBound || !Self.isOfNumber(bytes[index]) { return start..<index }
        index = start
        throw error("a number")
    }

    /// Passes over the next value, whatever it is.
    mutating func skipValue() throws(DatasetError) {
        var open: [UInt8] = []
        repeat {
            try skipOne(&open)
            // After a value: the ends of what it is the last of, or a comma.
            while let end = open.last {
                guard let byte = peek() else { throw error("\(Self.text(of: end)) that closes a value") }
                if byte == end {
                    index += 1
                    open.removeLast()
                } else if byte == UInt8(ascii: ",") {
                    index += 1
                    if syntax == .python, peek() == end { continue }
                    try skipName(in: end)
                    break
                } else {
                    throw error("a comma or \(Self.text(of: end))")
                }
            }
        } while !open.isEmpty
    }

    // MARK: - Parts

    /// Passes over a value without parts, or enters one with parts.
    private mutating func skipOne(_ open: inout [UInt8]) throws(DatasetError) {
        while true {
            guard let byte = peek() else { throw error("a value") }
            let end: UInt8
            switch byte {
            case UInt8(ascii: "{"): end = UInt8(ascii: "}")
            case UInt8(ascii: "["): end = UInt8(ascii: "]")
            case UInt8(ascii: "(") where syntax == .python: end = UInt8(ascii: ")")
            default:
                if isAtString() {
                    _ = try stringRange()
                } else if !skipWord() {
                    _ = try number()
                }
                return
            }
            guard open.count < Self.maximumDepth else {
                throw error("at most \(Self.maximumDepth) values in each other")
            }
            index += 1
            if peek() == end {
                index += 1
                return
            }
            open.append(end)
            try skipName(in: end)
        }
    }

    /// In an object, passes over the name of a field.
    private mutating func skipName(in end: UInt8) throws(DatasetError) {
        guard end == UInt8(ascii: "}") else { return }
        // Python's dictionaries may have numbers as names.
        if isAtString() || syntax == .json { _ = try stringRange() } else { _ = try number() }
        guard peek() == UInt8(ascii: ":") else { throw error("a colon after the name of a field") }
        index += 1
    }

    private mutating func nextElement(isFirst: Bool, end: UInt8) throws(DatasetError) -> Bool {
        guard let byte = peek() else { throw error("\(Self.text(of: end)) that closes a value") }
        if byte == end {
            index += 1
            return false
        }
        if isFirst { return true }
        guard byte == UInt8(ascii: ",") else { throw error("a comma or \(Self.text(of: end))") }
        index += 1
        guard peek() == end else { return true }
        guard syntax == .python else { throw error("a value after the comma") }
        index += 1
        return false
    }

    private mutating func skipWord() -> Bool {
        switch syntax {
        case .json: take(word: Self.null) || take(word: Self.trueWord) || take(word: Self.falseWord)
        case .python: take(word: Self.none) || take(word: Self.pythonTrue) || take(word: Self.pythonFalse)
        }
    }

    private mutating func take(word: [UInt8]) -> Bool {
        guard range.upperBound - index >= word.count else { return false }
        for (offset, byte) in word.enumerated() where bytes[index + offset] != byte { return false }
        index += word.count
        return true
    }

    /// The next value, a string, without its quotes.
    private mutating func stringRange() throws(DatasetError) -> (range: Range<Int>, hasEscapes: Bool) {
        guard isAtString() else { throw error("a string in quotes") }
        let quote = bytes[index]
        let start = index + 1
        var end = start
        var hasEscapes = false
        while end < range.upperBound {
            let byte = bytes[end]
            if byte == quote {
                index = end + 1
                return (start..<end, hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                end += 1
            } else if byte < 0x20, syntax == .json {
                index = end
                throw error("no control character in a string")
            }
            end += 1
        }
        throw error("a string that ends")
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < range.upperBound, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    /// At least one digit.
    private mutating func takeDigits() -> Bool {
        let start = index
        while index < range.upperBound, bytes[index] &- UInt8(ascii: "0") <= 9 { index += 1 }
        return index > start
    }

    /// An exponent, if there is one.
    private mutating func takeExponent() -> Bool {
        guard take("e") || take("E") else { return true }
        _ = take("-") || take("+")
        return takeDigits()
    }

    private static let null = Array("null".utf8)
    private static let trueWord = Array("true".utf8)
    private static let falseWord = Array("false".utf8)
    private static let none = Array("None".utf8)
    private static let pythonTrue = Array("True".utf8)
    private static let pythonFalse = Array("False".utf8)

    private static func isOfNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    private static func text(of byte: UInt8) -> String { "a " + String(UnicodeScalar(byte)) }

    /// Says what is expected at the present place, and what is there.
    private func error(_ expected: String) -> DatasetError {
        let there = bytes[min(index, range.upperBound)..<range.upperBound].prefix(40)
        let name = syntax == .json ? "JSON" : "a Python value"
        return DatasetError(
            value: String(decoding: there, as: UTF8.self),
            reason: "is not valid \(name) at byte \(index - range.lowerBound + 1) of the line: expected \(expected)"
        )
    }
}
