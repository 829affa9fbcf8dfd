internal import Bytes
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

extension KeyedEncodingContainer {
    /// Writes a time: a whole number of milliseconds since 1970, or ISO 8601 text where such a number would not be read
    /// as milliseconds.
    mutating func encode(time milliseconds: Int64, forKey key: Key) throws {
        if TimeUnit.milliseconds.plausible.contains(milliseconds) {
            try encode(milliseconds, forKey: key)
        } else {
            try encode(Timestamp.text(milliseconds), forKey: key)
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

    /// Reads an id: a string, or a whole number, whose digits are the id.
    mutating func identifier<ID: ByteText>() throws(JSONError) -> ID { ID(try identifier()) }

    /// Reads an array of strings.
    mutating func strings() throws(JSONError) -> [String] {
        try readArray { scanner throws(JSONError) in try scanner.string() }
    }

    /// Reads an array of objects.
    mutating func objects<Object: JSONReadable>() throws(JSONError) -> [Object] {
        try readArray { scanner throws(JSONError) in try Object(&scanner) }
    }

    /// Reads the name of one of a type's cases.
    mutating func name<Value>() throws(JSONError) -> Value
    where Value: RawRepresentable<String> & CaseIterable {
        let start = position
        if let value = Value(rawValue: try string()) { return value }
        goBack(to: start)
        throw try mismatch("one of \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    /// Reads a time of a record that only this system writes: ISO 8601 text, or a number of milliseconds, however
    /// small.
    mutating func ownTime() throws(JSONError) -> Int64 {
        if isAtString() { return try time() }
        return try integer()
    }
}

extension UserID {
    /// What producers call a field with a user's id, besides `user`.
    static let otherFieldNames = ["user_id", "userId"]
}
