import Foundation

/// The result of a command: lines for people, or one JSON object on stdout.
struct Report {
    private var fields: [(name: String, value: any Encodable & Sendable)] = []

    /// Adds a field; names are in snake case.
    mutating func add(_ name: String, _ value: some Encodable & Sendable) { fields.append((name, value)) }

    /// Prints the report: with `json` one object, else a line per field.
    func print(json: Bool) throws {
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let data = try encoder.encode(Object(fields: fields))
            Swift.print(String(decoding: data, as: UTF8.self))
        } else {
            for field in fields {
                let value = (field.value as? Double).map { $0.formatted(digits: 4) } ?? "\(field.value)"
                Swift.print("\(field.name.replacing("_", with: " ")): \(value)")
            }
        }
    }

    private struct Object: Encodable {
        let fields: [(name: String, value: any Encodable & Sendable)]

        struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(_ name: String) { stringValue = name }
            init?(stringValue: String) { self.init(stringValue) }
            init?(intValue: Int) { nil }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            for field in fields { try container.encode(field.value, forKey: Key(field.name)) }
        }
    }
}
