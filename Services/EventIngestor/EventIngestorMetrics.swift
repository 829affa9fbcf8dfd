import Messages
import ServiceRuntime

/// The metrics of the event ingestor.
struct EventIngestorMetrics: Sendable {
    /// Why an event is refused.
    enum Rejection: String, CaseIterable {
        case invalid
        case tooLarge = "too-large"
    }

    private static let prefix = "userllm_event_ingestor"

    let http: HTTPMetrics
    /// Events in requests, good or bad.
    let received: Counter
    /// Events and deletions that the log has made durable.
    let processed: Counter
    /// Appends that failed.
    let sendingErrors: Counter
    /// Duration of an append.
    let batchDuration: Histogram
    /// Records per append.
    let batchSize: Histogram
    /// Bytes that wait for the log or are being sent to it.
    let waitingBytes: Gauge
    private let rejected: [Rejection: Counter]

    init(_ registry: MetricsRegistry) {
        http = HTTPMetrics(registry, service: "event-ingestor")
        received = registry.counter("\(Self.prefix)_records_received_total", help: "Events in requests")
        processed = registry.counter("\(Self.prefix)_records_processed_total", help: "Records the log has made durable")
        sendingErrors = registry.counter(
            "\(Self.prefix)_errors_total",
            help: "Failures",
            labels: ["stage": "sending"]
        )
        batchDuration = registry.histogram("\(Self.prefix)_batch_duration_seconds", help: "Time of an append")
        batchSize = registry.histogram(
            "\(Self.prefix)_batch_records",
            help: "Records of an append",
            bounds: Histogram.counts
        )
        waitingBytes = registry.gauge("\(Self.prefix)_waiting_bytes", help: "Events that wait for the log")
        rejected = registry.counters(
            "\(Self.prefix)_records_rejected_total",
            help: "Events that were refused",
            label: "reason",
            of: Rejection.allCases
        )
    }

    func countRejection(_ reason: Rejection) { rejected[reason]?.increment() }
}
