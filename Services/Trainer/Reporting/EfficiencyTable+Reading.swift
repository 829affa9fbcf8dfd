import JSON

extension EfficiencyTable {
    /// Numbers that can be measured or counted; a chart of other ones would have no end.
    private static let possibleValues = 1e-12...1e24

    /// Reads what `trainer efficiency` printed with `--json`.
    ///
    /// Ratios and what is extrapolated are worked out anew.
    ///
    /// - Throws: `ProcessFailure` naming the file, and the field that is missing or impossible.
    init(_ fields: ResultFields) throws {
        self.init()
        settings = fields.object.fields.compactMap { name, value in
            guard case .string(let text) = value else { return nil }
            return (name.replacing("_", with: " "), text)
        }
        let positions = try fields.whole("context", in: 1...Int(Int32.max))
        context = try fields.required("context", positions)
        longestTimeline = try fields.whole("longest_timeline", in: 0...Int(Int32.max))
        columns = try fields.objects("lengths").map(Self.column)
    }

    private static func column(_ fields: ResultFields) throws -> EfficiencyColumn {
        let counts = 0...Int(Int32.max)
        let events = try fields.whole("events", in: 1...65_536)
        let users = try fields.whole("users", in: counts)
        let available = try fields.whole("users_with_as_many_events", in: counts)
        var column = EfficiencyColumn(
            events: try fields.required("events", events),
            availableUsers: try fields.required("users_with_as_many_events", available),
            users: try fields.required("users", users)
        )
        column.isTextCut = try fields.required("text_is_cut", fields.truth("text_is_cut"))
        for metric in EfficiencyMetric.allCases where metric.quotient == nil && metric != .wholeTextFirst {
            guard let value = try fields.number(metric.rawValue, in: 0...possibleValues.upperBound) else { continue }
            // Less than any clock or counter can tell is nothing.
            column.add(metric, value < possibleValues.lowerBound ? 0 : value)
        }
        return column
    }
}
