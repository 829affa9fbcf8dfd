import Foundation

/// A record from its JSON form.
///
/// The bytes must be UTF-8; a leading byte order mark is dropped. Fields that the record does not have are ignored.
func decodedJSON<Form: Decodable>(_ form: Form.Type, _ bytes: [UInt8], _ name: String) throws(MessageError) -> Form {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let bytes = bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes
    _ = try validText(bytes, nil)
    do {
        return try JSONDecoder().decode(form, from: Data(bytes))
    } catch let error as MessageError {
        throw error
    } catch let error as DecodingError {
        throw MessageError(error, name)
    } catch {
        throw MessageError(field: nil, reason: "cannot be read as JSON: \(error)")
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
    /// What Foundation says of a JSON text, in our words.
    fileprivate init(_ error: DecodingError, _ name: String) {
        switch error {
        case .typeMismatch(_, let context) where context.codingPath.isEmpty:
            self.init(field: nil, reason: "is not a JSON object: send one object for each \(name)")
        case .dataCorrupted(let context):
            let detail =
                (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String
                ?? "check its quotes, commas and brackets"
            self.init(field: context.codingPath.fieldName, reason: "is not valid JSON: \(detail)")
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context):
            self.init(field: context.codingPath.fieldName, reason: context.debugDescription)
        @unknown default:
            self.init(field: nil, reason: "is not a JSON \(name): \(error)")
        }
    }
}

extension [any CodingKey] {
    /// As in `items[3].title`; nil at the top.
    var fieldName: String? {
        guard !isEmpty else { return nil }
        var name = ""
        for key in self {
            if let index = key.intValue {
                name += "[\(index)]"
            } else {
                name += name.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return name
    }
}

extension KeyedDecodingContainer {
    /// A field of the given type; nil when it is missing or null.
    ///
    /// `expected` completes "must be", as `a string` does.
    func optional<Value: Decodable>(_ type: Value.Type, _ key: Key, _ expected: String) throws -> Value? {
        do {
            return try decodeIfPresent(type, forKey: key)
        } catch let error as MessageError {
            throw error
        } catch {
            // A number that a type cannot hold comes as an error of Foundation's own, without a path.
            let path: [any CodingKey]
            switch error as? DecodingError {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                path = context.codingPath
            case .keyNotFound(let missing, let context): path = context.codingPath + [missing]
            default: path = codingPath + [key]
            }
            guard path.count <= codingPath.count + 1 else {
                throw MessageError(
                    field: path.fieldName,
                    reason: "is missing or of a wrong type: \(key.stringValue) must be \(expected)"
                )
            }
            // The value is read a second time only now, to show it.
            let found = (try? decode(AnyJSON.self, forKey: key))?.description ?? "the value"
            throw MessageError(field: (codingPath + [key]).fieldName, reason: "\(found) must be \(expected)")
        }
    }

    /// A field that must be there.
    func required<Value: Decodable>(_ type: Value.Type, _ key: Key, _ expected: String) throws -> Value {
        guard let value = try optional(type, key, expected) else {
            throw MessageError(field: (codingPath + [key]).fieldName, reason: "is missing: send \(expected)")
        }
        return value
    }
}

/// A value of any JSON type, to be shown in an error.
private enum AnyJSON: Decodable, CustomStringConvertible {
    case text(String)
    case other(String)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .other("null")
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .other(value ? "true" : "false")
        } else if let value = try? container.decode(Int64.self) {
            self = .other(String(value))
        } else if let value = try? container.decode(Double.self) {
            self = .other("\(value)")
        } else if (try? decoder.unkeyedContainer()) != nil {
            self = .other("an array")
        } else {
            self = .other(
                (try? decoder.container(keyedBy: AnyKey.self)) == nil ? "a value that cannot be read" : "an object"
            )
        }
    }

    var description: String {
        switch self {
        case .text(let value): quoted(value)
        case .other(let value): value
        }
    }
}

private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// A time in JSON: milliseconds since 1970, or ISO 8601 text.
struct JSONTime: Codable {
    let milliseconds: Int64

    init(_ milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Int64.self) {
            milliseconds = value
            return
        }
        let text = try container.decode(String.self)
        guard let value = Timestamp.milliseconds(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time")
        }
        milliseconds = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }

    static let expected =
        "a whole number of milliseconds since 1970 or an ISO 8601 text with a time zone (2026-01-31T12:00:00Z)"
}
