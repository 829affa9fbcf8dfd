import ServiceRuntime
public import MessageLogs
import Synchronization

/// The partitions a process holds now, for its metrics page: which, whether their records flow yet, and their lag.
///
/// Partitions that moved to another process are no longer on the page, so that the pages of all processes add up.
public final class HeldPartitions: Sendable {
    private struct Held {
        var isReady: Bool
        /// In records; nil while it was not measured.
        var lag: Int64?
    }

    private let state = Mutex<[Int32: Held]>([:])

    init(_ metrics: MetricsRegistry, prefix: String) {
        metrics.gauges(
            "\(prefix)_partition_ready",
            help: "For each partition held here: 1 when its records flow, 0 while its state is being restored",
            label: "partition"
        ) { [self] in
            values { $0.isReady ? 1 : 0 }
        }
        metrics.gauges(
            "\(prefix)_partition_lag_records",
            help: "For each partition held here: records still to be read",
            label: "partition"
        ) { [self] in
            values { $0.lag.map { Double($0) } }
        }
    }

    private func values(_ value: (Held) -> Double?) -> [String: Double] {
        state.withLock { held in
            Dictionary(uniqueKeysWithValues: held.compactMap { key, held in value(held).map { ("\(key)", $0) } })
        }
    }

    /// Notes that partitions are held now.
    ///
    /// - Parameters:
    ///   - partitions: the partitions.
    ///   - isReady: whether their records flow.
    public func add(_ partitions: some Sequence<TopicPartition>, isReady: Bool) {
        state.withLock { held in
            for partition in partitions { held[partition.partition, default: Held(isReady: isReady)].isReady = isReady }
        }
    }

    /// Notes that partitions are no longer held.
    public func remove(_ partitions: some Sequence<TopicPartition>) {
        state.withLock { held in
            for partition in partitions { held[partition.partition] = nil }
        }
    }

    /// Notes that no partition is held any longer.
    public func removeAll() { state.withLock { $0 = [:] } }

    /// Notes the lag of those that are held.
    func show(_ lags: [TopicPartition: Int64]) {
        state.withLock { held in
            for (partition, lag) in lags { held[partition.partition]?.lag = lag }
        }
    }
}
