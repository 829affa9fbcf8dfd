import Messages
import ServiceRuntime
import Flows
import MessageLogs
import UserTimelines

/// The metrics of the encoder worker.
struct EncoderWorkerMetrics: Sendable {
    /// Metrics that every stream service has.
    let stream: StreamMetrics
    /// Time to restore one partition.
    let restoreDuration: Histogram
    /// Stored timelines that were skipped.
    let refusedTimelines: Counter
    private let rerouted: [TimelineUpdate.Reroute.Reason: Counter]
    private let encodedUsers: Counter
    private let knownEvents: Counter
    private let repeatedEvents: Counter
    private let deletedUsers: Counter
    private let freshness: Histogram
    private let batchAge: Gauge
    private let partitions: Gauge
    private let users: Gauge
    private let items: Gauge

    /// Makes the metrics.
    init(_ metrics: MetricsRegistry) {
        let prefix = "userllm_encoder_worker"
        stream = StreamMetrics(metrics, service: "encoder-worker", stages: [])
        restoreDuration = metrics.histogram("\(prefix)_restore_duration_seconds", help: "Time to restore a partition")
        refusedTimelines = metrics.counter(
            "\(prefix)_timelines_refused_total",
            help: "Stored timelines that cannot be right and were passed over"
        )
        rerouted = metrics.counters(
            "\(prefix)_records_rerouted_total",
            help: "Records that lay in a partition that is not their user's and were sent on",
            label: "reason",
            of: TimelineUpdate.Reroute.Reason.allCases
        )
        encodedUsers = metrics.counter("\(prefix)_users_encoded_total", help: "Timelines encoded and committed")
        knownEvents = metrics.counter("\(prefix)_events_known_total", help: "Events that were applied before")
        repeatedEvents = metrics.counter(
            "\(prefix)_events_repeated_total",
            help: "Events that did not count because their user's timeline held their event_id"
        )
        deletedUsers = metrics.counter("\(prefix)_users_deleted_total", help: "Users that were forgotten")
        freshness = metrics.histogram(
            "\(prefix)_event_to_embedding_seconds",
            help: "From an event's append to the log to the commit of its user's embedding"
        )
        batchAge = metrics.gauge(
            "\(prefix)_batch_age_seconds",
            help: "Age of the oldest event of the last batch when it was committed"
        )
        partitions = metrics.gauge("\(prefix)_state_partitions", help: "Partitions whose timelines are held")
        users = metrics.gauge("\(prefix)_state_users", help: "Users whose timelines are held")
        items = metrics.gauge("\(prefix)_state_items", help: "Different items in the timelines")
    }

    /// Counts a committed batch.
    func count(_ batch: Batch, _ update: TimelineUpdate, since start: ContinuousClock.Instant) {
        stream.countBatch(batch.records.count, rejections: update.rejections, since: start)
        encodedUsers.increment(by: update.changed.count)
        for reroute in update.reroutes { rerouted[reroute.reason]?.increment() }
        knownEvents.increment(by: update.knownCount)
        repeatedEvents.increment(by: update.repeatedCount)
        deletedUsers.increment(by: update.deleted.count)
        let now = WallClock.milliseconds
        if let oldest = batch.records.map(\.timestamp).min() { batchAge.set(Double(max(0, now - oldest)) / 1_000) }
        for changed in update.changed { freshness.observe(Double(max(0, now - changed.appendedAt)) / 1_000) }
    }

    /// Reports the size of the timelines in memory.
    func show(_ size: Timelines.Size) {
        partitions.set(Double(size.partitions))
        users.set(Double(size.users))
        items.set(Double(size.items))
    }
}
