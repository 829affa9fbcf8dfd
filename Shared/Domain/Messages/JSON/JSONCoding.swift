internal import Foundation
public import JSON

/// A record from its JSON form, which is all of the bytes; `read` reads it.
func decodedJSON<Form>(
    _ bytes: [UInt8],
    _ read: (inout JSONScanner) throws(JSONError) -> Form
) throws(MessageError) -> Form {
    var scanner = JSONScanner(bytes)
    do throws(JSONError) {
        let form = try read(&scanner)
        try scanner.finish()
        return form
    } catch {
        throw MessageError(error)
    }
}

/// The JSON form of a record, keys sorted.
func encodedJSON(_ form: some Encodable) throws(MessageError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
        return Array(try encoder.encode(form))
    } catch {
        throw MessageError(field: nil, reason: "cannot be written as JSON: \(error)")
    }
}

extension MessageError {
    /// What is wrong with a JSON text.
    public init(_ error: JSONError) {
        self.init(field: error.field, reason: error.detail)
    }
}

/// A field that must be there; nil is one that is missing or null.
///
/// `expected` completes "send", as `a string` does.
func required<Value>(_ value: Value?, _ field: String, _ expected: String) throws(JSONError) -> Value {
    guard let value else { throw JSONError(field: field, reason: "is missing: send \(expected)") }
    return value
}

/// A time in a JSON form that is written.
///
/// A whole number of milliseconds since 1970; ISO 8601 text where such a number would not be read as milliseconds.
struct JSONTime: Encodable {
    let milliseconds: Int64

    init(_ milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if TimeUnit.milliseconds.plausible.contains(milliseconds) {
            try container.encode(milliseconds)
        } else {
            try container.encode(Timestamp.text(milliseconds))
        }
    }
}

extension JSONScanner {
    /// Reads a time in milliseconds since 1970: a number whose unit is inferred from its size, or ISO 8601 text.
    public mutating func time() throws(JSONError) -> Int64 {
        let start = position
        if isAtString() {
            let (string, hasEscapes) = try stringRange()
            let time =
                hasEscapes ? Timestamp.milliseconds(try unescaped(string).utf8) : Timestamp.milliseconds(bytes, string)
            if let time { return time }
        } else {
            let number = try number()
            let time =
                if let whole = integer(number) {
                    Timestamp.milliseconds(ofNumber: whole)
                } else {
                    double(number).flatMap { Timestamp.milliseconds(ofNumber: $0) }
                }
            if let time { return time }
        }
        goBack(to: start)
        throw try mismatch(Timestamp.expected)
    }

    /// Reads a time of a record that only this system writes: ISO 8601 text, or a number of milliseconds, however
    /// small.
    mutating func ownTime() throws(JSONError) -> Int64 {
        if isAtString() { return try time() }
        return try integer()
    }
}
