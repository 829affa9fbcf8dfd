/// What was found at one length of timeline.
struct EfficiencyColumn: Sendable {
    /// Events of each timeline.
    let events: Int
    /// Users of the data set with at least so many events.
    let availableUsers: Int
    /// Users who were measured.
    let users: Int
    /// Whether a timeline as text is longer than the language model reads.
    var isTextCut = false
    /// What was counted or measured, a number for each user and round.
    private var samples: [EfficiencyMetric: [Double]] = [:]

    /// A column without values.
    init(events: Int, availableUsers: Int, users: Int) {
        (self.events, self.availableUsers, self.users) = (events, availableUsers, users)
    }

    /// Adds a number.
    mutating func add(_ metric: EfficiencyMetric, _ value: Double) { samples[metric, default: []].append(value) }

    /// The median of what was added, or the quotient of two medians; nil where nothing was.
    ///
    /// A text of all events that does not fit takes as much longer than the one that does as it has more operations.
    func value(_ metric: EfficiencyMetric) -> Double? {
        if metric.isExtrapolated, !isTextCut { return nil }
        if let (dividend, divisor) = metric.quotient {
            guard let dividend = value(dividend), let divisor = value(divisor), divisor > 0 else { return nil }
            return dividend / divisor
        }
        if metric == .wholeTextFirst {
            guard let time = value(.textFirst), let all = value(.wholeTextFLOPs), let read = value(.textFLOPs), read > 0
            else { return nil }
            return time * all / read
        }
        return Self.median(samples[metric] ?? [])
    }

    /// The middle of some numbers, the mean of two; nil for none.
    static func median(_ values: [Double]) -> Double? {
        if values.isEmpty { return nil }
        let sorted = values.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}
