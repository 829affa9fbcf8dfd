public import Messages
public import ServiceRuntime
public import MessageLogs

/// The metrics every stream service has.
public struct StreamMetrics: Sendable {
    /// Where a failure occurred that is retried; one that is not retried ends the process, and nobody reads its
    /// counters.
    public enum Stage: String, Sendable, CaseIterable {
        /// Reading from the log or the database.
        case receiving
        /// Writing to the log or the database.
        case sending
    }

    /// Records read.
    public let received: Counter
    /// Records processed and committed.
    public let processed: Counter
    /// Commits that were refused because a partition moved to another member.
    public let refusedCommits: Counter
    /// Time from a batch's arrival to its commit.
    public let batchDuration: Histogram
    /// Records in a batch.
    public let batchSize: Histogram
    /// The partitions this process holds.
    public let partitions: HeldPartitions
    private let lag: Gauge
    private let rejected: [RejectedRecord.Kind: Counter]
    private let errors: [Stage: Counter]

    /// Makes the metrics of one service.
    ///
    /// - Parameters:
    ///   - metrics: where they are shown.
    ///   - service: the service's name.
    ///   - stages: where the service counts failures: a counter that is never incremented would suggest that all is
    ///     well.
    public init(_ metrics: MetricsRegistry, service: String, stages: [Stage] = [.sending]) {
        let prefix = "userllm_\(service.replacing("-", with: "_"))"
        received = metrics.counter("\(prefix)_records_received_total", help: "Records read")
        processed = metrics.counter("\(prefix)_records_processed_total", help: "Records dealt with and committed")
        refusedCommits = metrics.counter(
            "\(prefix)_commits_refused_total",
            help: "Commits that did not happen because a partition went elsewhere"
        )
        batchDuration = metrics.histogram(
            "\(prefix)_batch_duration_seconds",
            help: "From a batch's arrival to its commit"
        )
        batchSize = metrics.histogram("\(prefix)_batch_records", help: "Records in a batch", bounds: Histogram.counts)
        partitions = HeldPartitions(metrics, prefix: prefix)
        lag = metrics.gauge("\(prefix)_consumer_lag_records", help: "Records still to be read by the service's group")
        rejected = metrics.counters(
            "\(prefix)_records_rejected_total",
            help: "Records that could not be used",
            label: "reason",
            of: RejectedRecord.Kind.allCases
        )
        errors = metrics.counters(
            "\(prefix)_errors_total",
            help: "Failures, also those that a second try mended",
            label: "stage",
            of: stages
        )
    }

    /// Counts a failure at one of the service's stages.
    public func countError(_ stage: Stage) {
        errors[stage]?.increment()
    }

    /// Counts a committed batch.
    public func countBatch(_ count: Int, rejections: [RejectedRecord], since start: ContinuousClock.Instant) {
        processed.increment(by: count - rejections.count)
        for rejection in rejections { rejected[rejection.kind]?.increment() }
        batchSize.observe(Double(count))
        batchDuration.observe(ContinuousClock.now - start)
    }

    /// Keeps the lag up to date until the service is to stop.
    ///
    /// - Parameters:
    ///   - shutdown: ends it.
    ///   - measure: asks the log.
    public func watchLag(
        until shutdown: Shutdown,
        measure: @escaping @Sendable () async throws -> [TopicPartition: Int64]
    ) async {
        while !shutdown.isRequested {
            // A log that does not answer now shows up in the flow itself; the gauges keep their last values.
            if let lags = try? await shutdown.cancelling(measure) {
                lag.set(Double(lags.values.reduce(0, +)))
                partitions.show(lags)
            }
            try? await shutdown.wait(atMost: .seconds(5))
        }
    }
}

extension Shutdown {
    /// Waits until the service is to stop, but no longer than this.
    public func wait(atMost limit: Duration) async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.requested() }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }
}
