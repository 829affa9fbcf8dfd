extension JSONScanner {
    /// The range of the next value, a number.
    public mutating func number() throws(JSONError) -> Range<Int> {
        let first = peek()
        guard first == UInt8(ascii: "-") || isDigit(first) else { throw try mismatch("a number") }
        let start = index
        _ = take("-")
        let isWhole = take("0") || takeDigits()
        let isRight = isWhole && (!take(".") || takeDigits()) && takeExponent()
        if isRight, index == range.upperBound || !Self.isOfNumber(bytes[index]) { return start..<index }
        index = start
        throw syntaxError("a number")
    }

    /// The exact value of a whole number; nil when it is not one or does not fit.
    public func integer(_ number: Range<Int>) -> Int64? { JSONNumber.signed(bytes, number) }
    /// The exact value of a whole number from 0; nil when it is not one or does not fit.
    public func unsigned(_ number: Range<Int>) -> UInt64? { JSONNumber.unsigned(bytes, number) }
    /// The value of a number, correctly rounded; nil when it is not finite.
    public func decimal(_ number: Range<Int>) -> Float? { JSONNumber.float(bytes, number) }
    /// The value of a number, correctly rounded; nil when it is not finite.
    public func double(_ number: Range<Int>) -> Double? { JSONNumber.double(bytes, number) }

    /// Reads the next value, a whole number, into any integer type.
    public mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(JSONError) -> Value {
        try integer(in: Value.min...Value.max)
    }

    /// Reads the next value, a whole number of a range.
    public mutating func integer<Value: FixedWidthInteger>(in range: ClosedRange<Value>) throws(JSONError) -> Value {
        let start = index
        let number = try number()
        let value =
            Value.isSigned
            ? integer(number).flatMap { Value(exactly: $0) } : unsigned(number).flatMap { Value(exactly: $0) }
        if let value, range.contains(value) { return value }
        index = start
        throw try mismatch("a whole number from \(range.lowerBound) to \(range.upperBound)")
    }

    /// Reads the next value, a number.
    public mutating func float() throws(JSONError) -> Float {
        let start = index
        if let value = decimal(try number()) { return value }
        index = start
        throw try mismatch("a number of at most \(Float.greatestFiniteMagnitude)")
    }

    /// Reads the next value, a number.
    public mutating func double() throws(JSONError) -> Double {
        let start = index
        if let value = double(try number()) { return value }
        index = start
        throw try mismatch("a number of at most \(Double.greatestFiniteMagnitude)")
    }

    /// Reads the next value, `true` or `false`.
    public mutating func bool() throws(JSONError) -> Bool {
        switch peek() {
        case UInt8(ascii: "t") where syntax != .python && take(word: "true"): return true
        case UInt8(ascii: "f") where syntax != .python && take(word: "false"): return false
        case UInt8(ascii: "T") where syntax == .python && take(word: "True"): return true
        case UInt8(ascii: "F") where syntax == .python && take(word: "False"): return false
        default: throw try mismatch("true or false")
        }
    }

    /// Reads an id into bytes: a string, or a whole number, whose digits are the id.
    public mutating func identifier(into id: inout [UInt8]) throws(JSONError) {
        if isAtString() { return try string(into: &id) }
        id.append(contentsOf: bytes[try identifierDigits()])
    }

    /// Reads an id: a string, or a whole number, whose digits are the id.
    public mutating func identifier() throws(JSONError) -> String {
        if isAtString() { return try string() }
        return text(try identifierDigits())
    }

    private mutating func identifierDigits() throws(JSONError) -> Range<Int> {
        let expected = "a string, or a whole number without point and exponent, whose digits are the id"
        let start = index
        guard isDigit(peek()) || peek() == UInt8(ascii: "-") else { throw try mismatch(expected) }
        let number = try number()
        for place in number.dropFirst() where !isDigit(bytes[place]) {
            index = start
            throw try mismatch(expected)
        }
        return number
    }

    /// An error that says what the next value must be; an error in the value itself takes precedence.
    public mutating func mismatch(_ expected: String) throws(JSONError) -> JSONError {
        guard peek() != nil else { return syntaxError(expected) }
        let byte = byteNumber
        return JSONError(value: try valueText(), reason: "must be \(expected)", byte: byte)
    }

    // MARK: - Digits

    func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0 &- UInt8(ascii: "0") <= 9 } ?? false }

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

    private static func isOfNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }
}
