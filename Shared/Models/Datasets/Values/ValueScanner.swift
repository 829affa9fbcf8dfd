internal import JSON

/// A JSON reader that reports data set errors.
struct ValueScanner {
    typealias Syntax = JSONScanner.Syntax

    private var scanner: JSONScanner

    init(_ bytes: [UInt8], _ range: Range<Int>, _ syntax: Syntax = .json) {
        scanner = JSONScanner(bytes, range, syntax)
    }

    /// A byte of the text.
    subscript(index: Int) -> UInt8 { scanner[index] }
    /// The position of the next byte.
    var position: Int { scanner.position }
    /// Part of the text.
    func text(_ range: Range<Int>) -> String { scanner.text(range) }
    /// The whole number at a range; nil when it is not one.
    func integer(_ range: Range<Int>) -> Int64? { scanner.integer(range) }
    /// The number at a range; nil when it is not finite.
    func decimal(_ range: Range<Int>) -> Float? { scanner.decimal(range) }
    /// The index of a field's name among the given names; nil when it is not one of them.
    func name(_ field: Range<Int>, among names: [[UInt8]]) -> Int? { scanner.name(field, among: names) }
    /// The first byte of the next value; nil at the end.
    mutating func peek() -> UInt8? { scanner.peek() }
    /// Whether the next value is a string.
    mutating func isAtString() -> Bool { scanner.isAtString() }
    /// Skips `null`, if that is the next value.
    mutating func takeNull() -> Bool { scanner.takeNull() }

    /// Enters an object.
    mutating func beginObject() throws(DatasetError) {
        do { try scanner.beginObject() } catch { throw DatasetError(error) }
    }

    /// Moves to the value of the object's next field; nil at the end of the object, which is then left.
    ///
    /// - Returns: the range of the field's name, without its quotes.
    mutating func nextField(isFirst: Bool) throws(DatasetError) -> Range<Int>? {
        do { return try scanner.nextField(isFirst: isFirst) } catch { throw DatasetError(error) }
    }

    /// Checks that nothing comes after the value.
    mutating func finish() throws(DatasetError) {
        do { try scanner.finish() } catch { throw DatasetError(error) }
    }

    /// Appends the next value, a string, to bytes, as UTF-8.
    mutating func string(into text: inout [UInt8]) throws(DatasetError) {
        do { try scanner.string(into: &text) } catch { throw DatasetError(error) }
    }

    /// Reads the strings of the next value: one, an array of them, or an array of paths, which are arrays of them.
    mutating func readNames(of field: String, _ body: ([UInt8]) -> Void) throws(DatasetError) {
        do {
            try scanner.readNames(of: field) { scanner throws(JSONError) in
                var name: [UInt8] = []
                try scanner.string(into: &name)
                body(name)
            }
        } catch {
            throw DatasetError(error)
        }
    }

    /// The range of the next value, a number.
    mutating func number() throws(DatasetError) -> Range<Int> {
        do { return try scanner.number() } catch { throw DatasetError(error) }
    }

    /// Skips the next value, whatever it is.
    mutating func skipValue() throws(DatasetError) {
        do { try scanner.skipValue() } catch { throw DatasetError(error) }
    }

    /// The next value as shown in errors; skips it.
    mutating func valueText() throws(DatasetError) -> String {
        do { return try scanner.valueText() } catch { throw DatasetError(error) }
    }

    /// Reads an id: a non-empty string, or a whole number, whose digits become the id.
    ///
    /// - Returns: whether it was a number.
    mutating func identifier(_ name: String, into id: inout [UInt8]) throws(DatasetError) -> Bool {
        let isString = isAtString()
        let start = position
        do { try scanner.identifier(into: &id) } catch { throw DatasetError(error.inField(name)) }
        if id.isEmpty { throw DatasetError(field: name, value: "", reason: "is empty") }
        // Elsewhere an unpaired surrogate is just a lost character; here it would merge two ids into one.
        let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
        if id.contains(replacement[0]), id.contains(replacement), !text(start..<position).utf8.contains(replacement) {
            throw DatasetError(field: name, value: text(start..<position), reason: "has half of a surrogate pair")
        }
        return !isString
    }
}

extension DatasetError {
    /// Converts a JSON error, without file and line.
    init(_ error: JSONError) {
        self.init(field: error.field, value: error.value, reason: error.reasonAndPlace)
    }
}

extension JSONScanner.Syntax {
    /// The notation of a line with an object: in JSON, its first name is in double quotes.
    ///
    /// Python uses single quotes unless the name contains one, and no field name of a data set does.
    static func syntax(of bytes: [UInt8], _ line: Range<Int>) -> Self {
        var index = line.lowerBound
        while index < line.upperBound {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: " "), UInt8(ascii: "\t"): index += 1
            case UInt8(ascii: "'"): return .python
            default: return .publishedJSON
            }
        }
        return .publishedJSON
    }
}
