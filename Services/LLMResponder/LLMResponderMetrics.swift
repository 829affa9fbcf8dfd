import Messages
import ServiceRuntime
import StreamProcessing
import Streams

/// The metrics of the LLM responder.
struct LLMResponderMetrics: Sendable {
    /// What every stream service has.
    let stream: StreamMetrics
    private let answers: [Answer.Status: Counter]
    private let postponed: Counter
    private let waitDuration: Histogram
    private let computeDuration: Histogram

    /// Makes the metrics.
    init(_ metrics: MetricsRegistry) {
        let prefix = "userllm_llm_responder"
        stream = StreamMetrics(metrics, service: "llm-responder")
        answers = Dictionary(
            uniqueKeysWithValues: Answer.Status.allCases.map { status in
                let counter = metrics.counter(
                    "\(prefix)_answers_total",
                    help: "Final answers by how the question ended",
                    labels: ["status": status.rawValue]
                )
                return (status, counter)
            }
        )
        postponed = metrics.counter(
            "\(prefix)_questions_postponed_total",
            help: "Looks at questions whose row did not know enough events yet"
        )
        waitDuration = metrics.histogram(
            "\(prefix)_question_to_answer_seconds",
            help: "From asking to the final answer"
        )
        computeDuration = metrics.histogram(
            "\(prefix)_compute_duration_seconds",
            help: "From taking a question to the end of its answer"
        )
    }

    /// Counts a committed batch.
    func count(
        _ batch: Batch,
        _ answers: [Answer],
        waiting: Int,
        _ rejections: [RejectedRecord],
        since start: ContinuousClock.Instant
    ) {
        stream.countBatch(batch.records.count - waiting, rejections: rejections, since: start)
        postponed.increment(by: waiting)
        for answer in answers {
            self.answers[answer.status]?.increment()
            waitDuration.observe(Double(max(0, answer.answeredAt - answer.askedAt)) / 1_000)
            computeDuration.observe(Double(answer.computeMicroseconds) / 1e6)
        }
    }
}
