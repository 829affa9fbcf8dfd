import Bytes

/// The checks that reading and writing a record share; each error has the value, and what to send instead.
enum Check {
    /// Neither empty, nor too long, nor with a NUL.
    static func identifier(_ value: String, _ field: String) throws(MessageError) {
        guard !value.isEmpty else { throw MessageError(field: field, reason: "is empty: give a non-empty string") }
        try text(value, field, limit: Limits.identifierByteCount)
    }

    /// Neither empty, nor too long, nor with a NUL.
    static func identifier(_ value: some ByteText, _ field: String) throws(MessageError) {
        try identifier(value.text, field)
    }

    /// Not too long, and without a NUL, which C and PostgreSQL cannot hold in text.
    static func text(_ value: String, _ field: String, limit: Int) throws(MessageError) {
        guard value.utf8.count <= limit else {
            throw MessageError(
                field: field,
                reason: "\(quoted(value)) has \(value.utf8.count) bytes: send at most \(limit)"
            )
        }
        let hasNUL = value.utf8.withContiguousStorageIfAvailable { $0.contains(0) } ?? value.utf8.contains(0)
        guard !hasNUL else {
            throw MessageError(field: field, reason: "\(quoted(value)) has a NUL character: remove it")
        }
    }

    /// The names of categories: not too many, none empty.
    static func categories(_ values: [String], _ field: String) throws(MessageError) {
        try size(values.count, atMost: Limits.categoryCount, field)
        for (index, value) in values.enumerated() {
            guard !value.isEmpty else {
                throw MessageError(field: "\(field)[\(index)]", reason: "is empty: leave it out")
            }
            try text(value, "\(field)[\(index)]", limit: Limits.nameByteCount)
        }
    }

    /// Not too many parts.
    static func size(
        _ count: Int,
        of parts: String = "entries",
        atMost limit: Int,
        _ field: String
    ) throws(MessageError) {
        guard count <= limit else {
            throw MessageError(field: field, reason: "has \(count) \(parts): send at most \(limit)")
        }
    }

    /// Within `Limits.times`.
    static func time(_ value: Int64, _ field: String) throws(MessageError) {
        guard Limits.times.contains(value) else {
            throw MessageError(
                field: field,
                reason: "\(value) is not a time in milliseconds since 1970: send a number from 0 to "
                    + "\(Limits.times.upperBound) (microseconds and nanoseconds must be divided first)"
            )
        }
    }

    /// Neither infinite nor "not a number".
    static func finite(_ value: Float, _ field: String) throws(MessageError) {
        guard value.isFinite else {
            throw MessageError(field: field, reason: "\(value) is not a finite number: send a finite one")
        }
    }

    /// Every number finite, and not too many of them.
    static func finite(_ values: [Float], _ field: String) throws(MessageError) {
        try size(values.count, of: "numbers", atMost: Limits.numberCount, field)
        for (index, value) in values.enumerated() where !value.isFinite {
            throw MessageError(
                field: "\(field)[\(index)]",
                reason: "\(value) is not a finite number: the model that made it is broken"
            )
        }
    }

    /// Within a range.
    static func range<Value>(
        _ value: Value,
        _ range: ClosedRange<Value>,
        _ field: String
    ) throws(MessageError) where Value: Comparable {
        guard range.contains(value) else {
            throw MessageError(
                field: field,
                reason: "\(value) is out of range: send \(range.lowerBound) to \(range.upperBound)"
            )
        }
    }

    /// A number that the log, the database and Java hold as a signed 64-bit integer.
    static func count(_ value: UInt64, _ field: String) throws(MessageError) {
        guard value <= UInt64(Int64.max) else {
            throw MessageError(field: field, reason: "\(value) is too large: send at most \(Int64.max)")
        }
    }
}

/// A value as an error shows it: in quotes, control characters escaped, at most 40 characters.
func quoted(_ value: String) -> String {
    var text = "\""
    for (index, character) in value.unicodeScalars.enumerated() {
        guard index < 40 else { return text + "…\"" }
        text += character.escaped(asASCII: false)
    }
    return text + "\""
}

/// Text from bytes that must be UTF-8.
func validText(_ bytes: some Collection<UInt8>, _ field: String?) throws(MessageError) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    let position = firstInvalidByte(bytes)
    let byte =
        position < bytes.count ? hexadecimal(bytes[bytes.index(bytes.startIndex, offsetBy: position)]) : "the end"
    throw MessageError(field: field, reason: "is not UTF-8 (\(byte) at byte \(position)): send text in UTF-8")
}

/// Text from bytes that must be UTF-8.
func validText(_ bytes: Span<UInt8>, _ field: String?) throws(MessageError) -> String {
    if let text = try? UTF8Span(validating: bytes) { return String(copying: text) }
    var copy: [UInt8] = []
    for index in bytes.indices { copy.append(bytes[index]) }
    return try validText(copy, field)
}

private func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0x0" : "0x") + String(byte, radix: 16, uppercase: true)
}

/// Where the bytes stop being UTF-8: the start of the first sequence that is none.
private func firstInvalidByte(_ bytes: some Collection<UInt8>) -> Int {
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    var position = 0
    while case .scalarValue(let scalar) = decoder.decode(&iterator) {
        position += UTF8.width(scalar)
    }
    return position
}
