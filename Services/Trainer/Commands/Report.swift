import Datasets
import Foundation
import Bytes

/// The result of a command: lines for people, or one JSON object on standard output.
struct Report {
    private var fields: [(name: String, value: any Encodable & Sendable)] = []

    /// Adds a field; names are in snake case.
    mutating func add(_ name: String, _ value: some Encodable & Sendable) { fields.append((name, value)) }

    /// Adds a field that readers may expect but whose value is not known here.
    mutating func addUnknown(_ name: String) { add(name, Unknown()) }

    /// The report as one JSON object on one line.
    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(Object(fields: fields))
    }

    /// Prints the report: one object with `json`, otherwise a line per field.
    func print(json: Bool) throws {
        if json {
            Swift.print(String(decoding: try self.json(), as: UTF8.self))
        } else {
            for field in fields {
                let value = (field.value as? Double).map { $0.formatted(digits: 4) } ?? "\(field.value)"
                // A table that we format has line breaks; text from files must not start a new line.
                let text = field.value is ReadingCounts ? value : ControlCharacters.escaped(value)
                Swift.print("\(field.name.replacing("_", with: " ")): \(text)")
            }
        }
    }

    /// null in JSON.
    private struct Unknown: Encodable, CustomStringConvertible {
        var description: String { "unknown" }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        }
    }

    /// The name of a value that a report has.
    struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    private struct Object: Encodable {
        let fields: [(name: String, value: any Encodable & Sendable)]

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            for field in fields { try container.encode(field.value, forKey: Key(field.name)) }
        }
    }
}
