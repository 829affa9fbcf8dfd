import Foundation
import ServiceRuntime

/// What a benchmark found, for people or for programs.
struct BenchmarkTable: Encodable {
    static let jsonKey = ConfigurationKey<Bool>("json", default: false, help: "Prints JSON instead of a table")

    /// One thing that was measured, beside what it is compared with.
    struct Row: Encodable {
        /// What was measured.
        var what: String
        /// Ours.
        var ours: Double
        /// What it is compared with; nil when it stands for itself.
        var other: Double?
        /// What the other is.
        var otherName: String?
        /// Unit of both.
        var unit: String
        /// Ours divided by the other.
        var ratio: Double? { other.map { ours / $0 } }

        enum CodingKeys: String, CodingKey { case what, ours, other, otherName, unit, ratio }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(what, forKey: .what)
            try container.encode(ours, forKey: .ours)
            try container.encodeIfPresent(other, forKey: .other)
            try container.encodeIfPresent(otherName, forKey: .otherName)
            try container.encode(unit, forKey: .unit)
            try container.encodeIfPresent(ratio, forKey: .ratio)
        }

        init(_ what: String, _ ours: Double, _ unit: String, against other: (name: String, value: Double)? = nil) {
            self.what = what
            self.ours = ours
            self.unit = unit
            self.other = other?.value
            otherName = other?.name
        }
    }

    let benchmark: String
    var settings: [String: String]
    var rows: [Row] = []

    /// Prints the table, or one JSON object.
    func show(_ reader: ConfigurationReader) throws {
        if try reader.value(of: Self.jsonKey) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            print(String(decoding: try encoder.encode(self), as: UTF8.self))
            return
        }
        let shown = settings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        print("\(benchmark): \(shown)")
        let cells = rows.map { row in
            let comparison = row.otherName.map { "\(Self.text(row.other ?? 0)) \(row.unit), \($0)" } ?? ""
            return [row.what, "\(Self.text(row.ours)) \(row.unit)", row.ratio.map { Self.text($0) } ?? "", comparison]
        }
        let headings = ["what", "measured", "ratio", "compared with"]
        let widths = headings.indices.map { column in ([headings] + cells).map { $0[column].count }.max() ?? 0 }
        for line in [headings] + cells {
            print(
                zip(line, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
            )
        }
    }

    private static func text(_ number: Double) -> String {
        number.formatted(.number.precision(.fractionLength(number < 100 ? 2 : 0)).locale(Locale(identifier: "en")))
    }
}
