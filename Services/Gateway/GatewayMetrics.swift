import ServiceRuntime

/// The metrics of the gateway.
struct GatewayMetrics: Sendable {
    private static let prefix = "userllm_gateway"

    let http: HTTPMetrics
    /// Questions that the log has made durable.
    let questions: Counter
    /// Records of answers and their pieces.
    let received: Counter
    /// The ones that could be decoded.
    let processed: Counter
    /// The ones that could not be decoded.
    let rejected: Counter
    let receivingErrors: Counter
    let sendingErrors: Counter
    /// From asking to the answer's arrival at this gateway.
    let answerDuration: Histogram
    /// Requests that wait for an answer.
    let waiting: Gauge

    init(_ registry: MetricsRegistry) {
        http = HTTPMetrics(registry, service: "gateway")
        questions = registry.counter("\(Self.prefix)_questions_total", help: "Questions the log has made durable")
        received = registry.counter("\(Self.prefix)_records_received_total", help: "Answers and pieces read")
        processed = registry.counter("\(Self.prefix)_records_processed_total", help: "Answers and pieces kept")
        rejected = registry.counter(
            "\(Self.prefix)_records_rejected_total",
            help: "Answers and pieces that could not be read",
            labels: ["reason": "decode"]
        )
        func errors(_ stage: String) -> Counter {
            registry.counter("\(Self.prefix)_errors_total", help: "Failures", labels: ["stage": stage])
        }
        receivingErrors = errors("receiving")
        sendingErrors = errors("sending")
        answerDuration = registry.histogram("\(Self.prefix)_answer_duration_seconds", help: "From asking to the answer")
        waiting = registry.gauge("\(Self.prefix)_requests_waiting", help: "Requests that wait for an answer")
    }
}
