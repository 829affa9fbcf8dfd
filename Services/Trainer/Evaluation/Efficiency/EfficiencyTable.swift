import ServiceRuntime

/// What users' contexts cost, at several lengths of timeline.
struct EfficiencyTable: Sendable {
    /// What was measured on what: names and values for a reader.
    var settings: [(name: String, value: String)] = []
    /// A column for each length, in the order in which they were asked for.
    var columns: [EfficiencyColumn] = []
    /// The longest timeline of the data set; nil when a result does not say it.
    var longestTimeline: Int?
    /// One more than the last position that the language model reads.
    var context = 0

    private static let labelWidth = 46
    private static let columnWidth = 11

    /// The table as lines of text.
    ///
    /// Lines without any value are left out.
    func text() -> String {
        var lines = settings.map { "\($0.name): \($0.value)" }
        lines.append("")
        func line(_ label: String, _ cells: [String]) {
            lines.append(
                label.padded(to: Self.labelWidth) + cells.map { $0.padded(left: Self.columnWidth) }.joined()
            )
        }
        line("events of a timeline", columns.map { "\($0.events)" })
        line("users measured", columns.map { "\($0.users)" })
        for (title, metrics) in sections {
            lines += ["", title]
            for metric in metrics { line("  " + metric.label, columns.map { Self.cell(metric, in: $0) }) }
        }
        return (lines + notes).joined(separator: "\n")
    }

    /// The parts of the table with the lines that have a value.
    var sections: [(title: String, metrics: [EfficiencyMetric])] {
        EfficiencyMetric.sections.map { title, metrics in
            (title, metrics.filter { metric in columns.contains { $0.value(metric) != nil } })
        }.filter { !$0.metrics.isEmpty }
    }

    /// What the marks mean, and why cells are empty.
    var notes: [String] {
        var notes: [String] = []
        if columns.contains(where: \.isTextCut) {
            notes.append("* the last events that fit into the language model's \(context) positions, answer included")
            notes.append("~ not measured: operations counted for all events; time in proportion to operations")
        }
        for column in columns where column.users == 0 {
            let longest = longestTimeline.map { "; the longest timeline has \($0)" } ?? ""
            notes.append("\(column.events) events: nobody has so many\(longest)")
        }
        if columns.allSatisfy({ $0.value(.knownRowFirst) == nil }) {
            notes.append("a known question: none, for the context acts from the first token (--context-from)")
        }
        return notes.isEmpty ? [] : [""] + notes
    }

    /// A value as it is shown, with its mark.
    static func cell(_ metric: EfficiencyMetric, in column: EfficiencyColumn) -> String {
        guard let value = column.value(metric) else { return "-" }
        let mark = metric.isExtrapolated ? "~" : column.isTextCut && metric.concernsText ? "*" : ""
        return mark + shown(value, metric.unit)
    }

    /// A value in the unit that suits it.
    static func shown(_ value: Double, _ unit: EfficiencyMetric.Unit) -> String {
        switch unit {
        case .count: value.formatted(digits: 0)
        case .operations: scaled(value, [(1e12, " T"), (1e9, " G"), (1e6, " M")], smallest: "")
        case .time: scaled(value, [(1, " s"), (1e-3, " ms"), (1e-6, " us")], smallest: " s")
        case .bytes: scaled(value, [(1_073_741_824, " GiB"), (1_048_576, " MiB"), (1_024, " KiB")], smallest: " B")
        case .ratio: significant(value)
        }
    }

    private static func scaled(_ value: Double, _ units: [(Double, String)], smallest: String) -> String {
        guard let (size, name) = units.first(where: { value >= $0.0 }) else { return significant(value) + smallest }
        return significant(value / size) + name
    }

    /// Three digits, and all of those before the point.
    private static func significant(_ value: Double) -> String {
        value.formatted(digits: value >= 100 || value == 0 ? 0 : value >= 10 ? 1 : 2)
    }

    /// Adds everything to a report of one JSON object.
    func add(to report: inout Report) {
        for (name, value) in settings { report.add(name.replacing(" ", with: "_"), value) }
        report.add("context", context)
        if let longestTimeline { report.add("longest_timeline", longestTimeline) }
        report.add("lengths", columns.map(Length.init))
    }

    /// A column in JSON.
    private struct Length: Encodable, Sendable {
        let column: EfficiencyColumn

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Report.Key.self)
            try container.encode(column.events, forKey: Report.Key("events"))
            try container.encode(column.users, forKey: Report.Key("users"))
            try container.encode(column.availableUsers, forKey: Report.Key("users_with_as_many_events"))
            try container.encode(column.isTextCut, forKey: Report.Key("text_is_cut"))
            for metric in EfficiencyMetric.allCases {
                let value: Double? = column.value(metric)
                try container.encode(value, forKey: Report.Key(metric.rawValue))
            }
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
    fileprivate func padded(left width: Int) -> String {
        String(repeating: " ", count: max(1, width - count)) + self
    }
}
