import Messages
import ServiceRuntime
import Flows

/// The metrics of the embedding writer.
struct EmbeddingWriterMetrics: Sendable {
    /// Metrics that every stream service has.
    let stream: StreamMetrics
    private let rows: Counter
    private let deletions: Counter
    private let retries: Counter
    private let freshness: Histogram

    /// Makes the metrics.
    init(_ metrics: MetricsRegistry) {
        let prefix = "userllm_embedding_writer"
        stream = StreamMetrics(metrics, service: "embedding-writer")
        rows = metrics.counter("\(prefix)_rows_written_total", help: "Rows sent to the database and committed")
        deletions = metrics.counter("\(prefix)_users_deleted_total", help: "Users whose rows were deleted")
        retries = metrics.counter("\(prefix)_retries_total", help: "Tries that the database did not take for now")
        freshness = metrics.histogram(
            "\(prefix)_event_to_row_seconds",
            help: "From an event's append to the log to the commit of its user's row"
        )
    }

    /// Counts committed rows.
    func count(_ rows: [UserEmbedding], deletions count: Int) {
        self.rows.increment(by: rows.count)
        deletions.increment(by: count)
        let now = WallClock.milliseconds
        for row in rows { freshness.observe(Double(max(0, now - row.appendedAt)) / 1_000) }
    }

    /// Counts an attempt that failed temporarily.
    func countRetry() {
        retries.increment()
        stream.countError(.sending)
    }
}
