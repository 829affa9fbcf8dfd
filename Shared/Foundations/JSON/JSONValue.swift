internal import Bytes

/// Any JSON value as a tree, for settings and manifests; bulk data is read with `JSONScanner` directly.
public enum JSONValue: Sendable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A number, as it is written.
    case number(JSONNumberText)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object.
    case object(JSONObject)

    /// Reads a text that is one value.
    ///
    /// An object that has a name twice is an error, as everywhere.
    ///
    /// - Parameters:
    ///   - bytes: the text.
    ///   - maximumCount: how many values it may have, of any kind and depth; a bound for the memory it takes.
    /// - Throws: `JSONError` for text that is not JSON, and for more values.
    public init(parsing bytes: [UInt8], maximumCount: Int = 1_000_000) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        var room = maximumCount
        try self.init(&scanner, &room)
        try scanner.finish()
    }

    /// Recurses as deep as the scanner allows.
    private init(_ scanner: inout JSONScanner, _ room: inout Int) throws(JSONError) {
        guard room > 0 else { throw scanner.syntaxError("fewer values in one text") }
        room -= 1
        switch scanner.peek() {
        case UInt8(ascii: "{"): self = .object(try Self.object(&scanner, &room))
        case UInt8(ascii: "["):
            try scanner.beginArray()
            var elements: [JSONValue] = []
            while try scanner.nextValue(isFirst: elements.isEmpty) {
                do throws(JSONError) {
                    elements.append(try JSONValue(&scanner, &room))
                } catch {
                    throw error.inElement(elements.count)
                }
            }
            self = .array(elements)
        case UInt8(ascii: "\""): self = .string(try scanner.string())
        case UInt8(ascii: "t"), UInt8(ascii: "f"): self = .bool(try scanner.bool())
        case UInt8(ascii: "n") where scanner.takeNull(): self = .null
        case .some(let byte) where byte == UInt8(ascii: "-") || scanner.isDigit(byte):
            let number = try scanner.number()
            guard scanner.double(number) != nil else {
                throw JSONError(value: scanner.text(number), reason: "is not a finite number")
            }
            self = .number(JSONNumberText(text: scanner.text(number)))
        default: throw scanner.syntaxError("a value")
        }
    }

    private static func object(_ scanner: inout JSONScanner, _ room: inout Int) throws(JSONError) -> JSONObject {
        try scanner.beginObject()
        var object = JSONObject()
        var isFirst = true
        while let place = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            let name = try scanner.unescaped(place)
            guard object[name] == nil else {
                throw JSONError(field: name, reason: "is given twice in one object: send it once")
            }
            do throws(JSONError) {
                object.append(name, try JSONValue(&scanner, &room))
            } catch {
                throw error.inField(name)
            }
        }
        return object
    }

    /// The value as an error shows it.
    public var shown: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let number): number.text
        case .string(let text): JSONError.shown(text)
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A number as it is written, so that any type can convert it exactly.
public struct JSONNumberText: Sendable {
    /// As RFC 8259 has it; finite.
    public let text: String

    /// The number as a whole number from 0; nil when it is none or does not fit.
    public var unsigned: UInt64? { JSONNumber.unsigned(Array(text.utf8), 0..<text.utf8.count) }
    /// The number as a whole number; nil when it is none or does not fit.
    public var integer: Int64? { JSONNumber.signed(Array(text.utf8), 0..<text.utf8.count) }
    /// The number, correctly rounded.
    public var double: Double? { JSONNumber.double(Array(text.utf8), 0..<text.utf8.count) }
    /// The number, correctly rounded; nil when that is not finite.
    public var float: Float? { JSONNumber.float(Array(text.utf8), 0..<text.utf8.count) }
}

/// The fields of an object, in order, found by the bytes of their names.
public struct JSONObject: Sendable {
    /// Up to this many names are searched linearly.
    private static let shortCount = 12

    /// Names and values, as they stood there.
    public private(set) var fields: [(name: String, value: JSONValue)] = []
    private var places: [TextKey: Int] = [:]

    /// The value of a field; nil when there is none of this name.
    public subscript(name: String) -> JSONValue? {
        if fields.count <= Self.shortCount {
            return fields.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
        }
        return places[TextKey(name)].map { fields[$0].value }
    }

    mutating func append(_ name: String, _ value: JSONValue) {
        fields.append((name, value))
        if fields.count == Self.shortCount + 1 {
            for (place, field) in fields.enumerated() { places[TextKey(field.name)] = place }
        } else if fields.count > Self.shortCount {
            places[TextKey(name)] = fields.count - 1
        }
    }
}
