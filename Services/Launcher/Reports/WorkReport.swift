/// What a process that shares partitions reports about its own work on its metrics page.
struct WorkReport: Codable, Sendable {
    /// A partition that the process holds.
    struct Partition: Codable, Sendable, Equatable {
        var partition: Int
        /// Unread records, as the process measured them within the last seconds; nil before the first measurement.
        var lag: Int?
        /// Whether its state is restored, so that its records flow.
        var isReady: Bool
    }

    /// The partitions, in order.
    var partitions: [Partition]
    /// Users whose timelines are held; nil for processes without such state.
    var users: Int?
    /// How old the oldest event of the last batch was at its commit, in seconds; nil for processes that do not report
    /// it.
    var batchAge: Double?
    /// Records that were in partitions that are not their users' and were rerouted, by reason.
    var rerouted: [String: Double]
    /// Time from event to row, over all rows this process wrote; nil for others, and before the first row.
    var eventToRow: MetricsPage.Quantiles?

    /// Reads a metrics page.
    init(of kind: ServiceKind, in page: MetricsPage) {
        let prefix = "userllm_\(kind.rawValue.replacing("-", with: "_"))"
        let lags = page.values(of: "\(prefix)_partition_lag_records", by: "partition")
        partitions = page.values(of: "\(prefix)_partition_ready", by: "partition").compactMap { name, ready in
            Int(name).map { Partition(partition: $0, lag: lags[name].map(MetricsPage.whole), isReady: ready > 0) }
        }
        partitions.sort { $0.partition < $1.partition }
        users = page.value(of: "\(prefix)_state_users").map(MetricsPage.whole)
        let processed = page.value(of: "\(prefix)_records_processed_total") ?? 0
        batchAge = processed > 0 ? page.value(of: "\(prefix)_batch_age_seconds") : nil
        rerouted = page.values(of: "\(prefix)_records_rerouted_total", by: "reason").filter { $0.value > 0 }
        eventToRow = MetricsPage.quantiles(of: "\(prefix)_event_to_row_seconds", in: [page])
    }

    /// The total lag of all partitions; nil while none was measured.
    var lag: Int? {
        let lags = partitions.compactMap(\.lag)
        return lags.isEmpty ? nil : lags.reduce(0) { MetricsPage.saturatingSum($0, $1) }
    }

    /// Whether the state of all partitions is restored, for people.
    var restored: String {
        let ready = partitions.count(where: \.isReady)
        if partitions.isEmpty { return "-" }
        return ready == partitions.count ? "yes" : "\(ready) of \(partitions.count)"
    }

    /// The partitions for people, as in `0-3, 7`; limited to about forty characters.
    var partitionText: String {
        guard !partitions.isEmpty else { return "none" }
        var ranges: [ClosedRange<Int>] = []
        for number in partitions.map(\.partition) {
            if let last = ranges.last, last.upperBound < number, last.upperBound + 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        let texts = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        let all = texts.joined(separator: ", ")
        return all.count <= 32 ? all : "\(texts.prefix(4).joined(separator: ", ")), ... (\(partitions.count) in all)"
    }
}
