/// Reads JSON text value by value, without building what nobody needs.
///
/// The only reader of JSON: of requests, of records of the log, and of files. It accepts RFC 8259 and nothing else, in
/// validated UTF-8; a byte order mark before the text is dropped. No comma after the last element, no value deeper than
/// `maximumDepth`, no number that is not finite, no half of a surrogate pair. It does not recurse, and its work is
/// linear in the length of the text.
///
/// Amazon's metadata of 2014 is not JSON but Python: `'...'` and `None`; `Syntax.python` reads that as well.
public struct JSONScanner: Sendable {
    /// How the text is written.
    public enum Syntax: Sendable {
        /// As RFC 8259 has it.
        case json
        /// JSON as published data sets have it: half of a surrogate pair, where a text was cut, is read as U+FFFD.
        case publishedJSON
        /// As Python's `repr` has it: strings in either quotes, `True`, `False`, `None`, tuples, commas after the last
        /// element.
        case python
    }

    /// The maximum nesting of objects and arrays, so that no text can exhaust memory or stack.
    public static let maximumDepth = 64

    /// The bytes that contain the text.
    public let bytes: [UInt8]
    let range: Range<Int>
    let syntax: Syntax
    var index: Int
    /// The number of open objects and arrays.
    var depth = 0

    /// Begins at the start of a text.
    ///
    /// - Parameters:
    ///   - bytes: where the text stands.
    ///   - range: its range there; an error counts bytes from its start.
    ///   - syntax: how it is written.
    public init(_ bytes: [UInt8], _ range: Range<Int>, _ syntax: Syntax = .json) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "\(range) is not in 0..<\(bytes.count)")
        self.bytes = bytes
        self.range = range
        self.syntax = syntax
        index = range.lowerBound
        if range.count >= 3, bytes[index] == 0xEF, bytes[index + 1] == 0xBB, bytes[index + 2] == 0xBF { index += 3 }
    }

    /// Begins at the start of bytes that are one text.
    public init(_ bytes: [UInt8], _ syntax: Syntax = .json) {
        self.init(bytes, 0..<bytes.count, syntax)
    }

    /// A byte of the text.
    public subscript(index: Int) -> UInt8 { bytes[index] }
    /// The position of the next byte.
    public var position: Int { index }
    /// Part of the text.
    public func text(_ range: Range<Int>) -> String {
        unsafe bytes.withUnsafeBufferPointer {
            unsafe String(decoding: UnsafeBufferPointer(rebasing: $0[range]), as: UTF8.self)
        }
    }
    /// Goes back to where a string or a number began.
    public mutating func goBack(to position: Int) {
        precondition(position >= range.lowerBound && position <= index, "\(position) does not lie behind \(index)")
        index = position
    }

    /// Which of these names a field has; nil for any other.
    public func name(_ field: Range<Int>, among names: [[UInt8]]) -> Int? {
        let written = bytes[field]
        if !written.contains(UInt8(ascii: "\\")) { return names.firstIndex { written.elementsEqual($0) } }
        var name: [UInt8] = []
        // Its escapes were checked when it was read.
        guard (try? unescape(field, into: &name)) != nil else { return nil }
        return names.firstIndex(of: name)
    }

    /// A string that stands there, or the name of a field, with its escapes resolved.
    public func unescaped(_ field: Range<Int>) throws(JSONError) -> String {
        guard bytes[field].contains(UInt8(ascii: "\\")) else { return text(field) }
        var name: [UInt8] = []
        try unescape(field, into: &name)
        return String(decoding: name, as: UTF8.self)
    }

    // MARK: - Objects and arrays

    /// Enters an object.
    public mutating func beginObject() throws(JSONError) { try enter(UInt8(ascii: "{"), "an object {...}") }

    /// Goes to the value of the object's next field; nil when there is none and the object is left.
    ///
    /// - Returns: where the field's name stands, without its quotes.
    public mutating func nextField(isFirst: Bool) throws(JSONError) -> Range<Int>? {
        guard try nextElement(isFirst: isFirst, end: UInt8(ascii: "}")) else { return nil }
        let (name, hasEscapes) = try stringRange()
        if hasEscapes { try checkEscapes(name) }
        try takeColon()
        return name
    }

    /// Enters an array.
    public mutating func beginArray() throws(JSONError) { try enter(UInt8(ascii: "["), "an array [...]") }

    /// Goes to the array's next value; false when there is none and the array is left.
    public mutating func nextValue(isFirst: Bool) throws(JSONError) -> Bool {
        try nextElement(isFirst: isFirst, end: UInt8(ascii: "]"))
    }

    /// Checks that nothing comes after the value.
    public mutating func finish() throws(JSONError) {
        if peek() != nil { throw syntaxError("nothing after the value") }
    }

    /// What the next value begins with; nil at the end.
    public mutating func peek() -> UInt8? {
        while index < range.upperBound {
            let byte = bytes[index]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            index += 1
        }
        return nil
    }

    // MARK: - Parts

    private mutating func enter(_ bracket: UInt8, _ expected: String) throws(JSONError) {
        guard peek() == bracket else { throw try mismatch(expected) }
        try deepen()
        index += 1
    }

    mutating func deepen() throws(JSONError) {
        guard depth < Self.maximumDepth else {
            throw syntaxError("at most \(Self.maximumDepth) values in each other")
        }
        depth += 1
    }

    private mutating func nextElement(isFirst: Bool, end: UInt8) throws(JSONError) -> Bool {
        guard let byte = peek() else { throw syntaxError("\(Self.text(of: end)) that closes a value") }
        if byte == end {
            index += 1
            depth -= 1
            return false
        }
        if isFirst { return true }
        guard byte == UInt8(ascii: ",") else { throw syntaxError("a comma or \(Self.text(of: end))") }
        index += 1
        guard peek() == end else { return true }
        guard syntax == .python else { throw syntaxError("a value after the comma") }
        index += 1
        depth -= 1
        return false
    }

    mutating func takeColon() throws(JSONError) {
        guard peek() == UInt8(ascii: ":") else { throw syntaxError("a colon after the name of a field") }
        index += 1
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < range.upperBound, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    mutating func take(word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard range.upperBound - index >= count else { return false }
        let start = index
        let isThere = word.withUTF8Buffer { word in
            for offset in 0..<count where unsafe word[offset] != bytes[start + offset] { return false }
            return true
        }
        if isThere { index += count }
        return isThere
    }

    // MARK: - Errors

    static func text(of byte: UInt8) -> String { "a " + String(UnicodeScalar(byte)) }

    /// Counted from 1.
    var byteNumber: Int { index - range.lowerBound + 1 }

    /// An error that says what is expected at the current position, and what is there.
    func syntaxError(_ expected: String) -> JSONError {
        let place = min(index, range.upperBound)
        let there = bytes[place..<range.upperBound].prefix(JSONError.shownCount)
        var decoder = UTF8()
        var rest = there.makeIterator()
        if case .error = decoder.decode(&rest) { return notUTF8(place) }
        let name = syntax == .python ? "a Python value" : "JSON"
        return JSONError(
            value: String(decoding: there, as: UTF8.self),
            reason: "is not valid \(name): expected \(expected)",
            byte: byteNumber,
            isSyntax: true
        )
    }
}
