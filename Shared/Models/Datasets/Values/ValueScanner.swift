internal import JSON

/// The reader of JSON, with errors of data sets.
struct ValueScanner {
    typealias Syntax = JSONScanner.Syntax

    private var scanner: JSONScanner

    init(_ bytes: [UInt8], _ range: Range<Int>, _ syntax: Syntax = .json) {
        scanner = JSONScanner(bytes, range, syntax)
    }

    /// A byte of the text.
    subscript(index: Int) -> UInt8 { scanner[index] }
    /// The next byte's place.
    var position: Int { scanner.position }
    /// Part of the text.
    func text(_ range: Range<Int>) -> String { scanner.text(range) }
    /// A whole number that stands there; nil when there is none.
    func integer(_ range: Range<Int>) -> Int64? { scanner.integer(range) }
    /// A number that stands there; nil when it is not finite.
    func decimal(_ range: Range<Int>) -> Float? { scanner.decimal(range) }
    /// Which of these names a field has; nil for any other.
    func name(_ field: Range<Int>, among names: [[UInt8]]) -> Int? { scanner.name(field, among: names) }
    /// What the next value begins with; nil at the end.
    mutating func peek() -> UInt8? { scanner.peek() }
    /// Whether the next value is a string.
    mutating func isAtString() -> Bool { scanner.isAtString() }
    /// Passes over `null`, if that is the next value.
    mutating func takeNull() -> Bool { scanner.takeNull() }

    /// Enters an object.
    mutating func beginObject() throws(DatasetError) {
        do { try scanner.beginObject() } catch { throw DatasetError(error) }
    }

    /// Goes to the value of the object's next field; nil when there is none and the object is left.
    ///
    /// - Returns: where the field's name stands, without its quotes.
    mutating func nextField(isFirst: Bool) throws(DatasetError) -> Range<Int>? {
        do { return try scanner.nextField(isFirst: isFirst) } catch { throw DatasetError(error) }
    }

    /// Enters an array.
    mutating func beginArray() throws(DatasetError) {
        do { try scanner.beginArray() } catch { throw DatasetError(error) }
    }

    /// Goes to the array's next value; false when there is none and the array is left.
    mutating func nextValue(isFirst: Bool) throws(DatasetError) -> Bool {
        do { return try scanner.nextValue(isFirst: isFirst) } catch { throw DatasetError(error) }
    }

    /// Checks that nothing comes after the value.
    mutating func finish() throws(DatasetError) {
        do { try scanner.finish() } catch { throw DatasetError(error) }
    }

    /// Adds the next value, a string, to bytes; they are UTF-8.
    mutating func string(into text: inout [UInt8]) throws(DatasetError) {
        do { try scanner.string(into: &text) } catch { throw DatasetError(error) }
    }

    /// Where the next value, a number, stands.
    mutating func number() throws(DatasetError) -> Range<Int> {
        do { return try scanner.number() } catch { throw DatasetError(error) }
    }

    /// Passes over the next value, whatever it is.
    mutating func skipValue() throws(DatasetError) {
        do { try scanner.skipValue() } catch { throw DatasetError(error) }
    }

    /// The next value as an error shows it; passes over it.
    mutating func valueText() throws(DatasetError) -> String {
        do { return try scanner.valueText() } catch { throw DatasetError(error) }
    }

    /// Reads an id: a string that is not empty, or a whole number, whose digits are the id.
    ///
    /// - Returns: whether it was a number.
    mutating func identifier(_ name: String, into id: inout [UInt8]) throws(DatasetError) -> Bool {
        let isString = isAtString()
        let start = position
        do { try scanner.identifier(into: &id) } catch { throw DatasetError(error.inField(name)) }
        if id.isEmpty { throw DatasetError(field: name, value: "", reason: "is empty") }
        // Elsewhere half of a pair is a lost character; of two ids it would make one.
        let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
        if id.contains(replacement[0]), id.contains(replacement), !text(start..<position).utf8.contains(replacement) {
            throw DatasetError(field: name, value: text(start..<position), reason: "has half of a surrogate pair")
        }
        return !isString
    }
}

extension DatasetError {
    /// What is wrong with a JSON text, without file and line.
    init(_ error: JSONError) {
        self.init(field: error.field, value: error.value, reason: error.reasonAndPlace)
    }
}

extension JSONScanner.Syntax {
    /// How a line with an object is written: in JSON its first name stands in double quotes.
    ///
    /// Python takes single quotes unless there is one in the name, and no name of a data set's field has one.
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
