import Bytes
import LanguageEngine
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization

/// The metrics of the LLM responder.
final class LLMResponderMetrics: Sendable {
    /// Metrics that every stream service has.
    let stream: StreamMetrics
    private let answers: [Answer.Status: Counter]
    let engine: EngineGauges
    private let parked: Gauge
    private let parkedBytes: Gauge
    private let parkings: Counter
    private let waits: [WaitEnd: Counter]
    private let ahead: Gauge
    private let shown = Mutex(EngineMetrics())
    private let readAhead = Mutex<[TopicPartition: Int64]>([:])
    private let waitDuration: Histogram
    private let computeDuration: Histogram

    /// Makes the metrics.
    init(_ metrics: MetricsRegistry) {
        let prefix = "userllm_llm_responder"
        stream = StreamMetrics(metrics, service: "llm-responder", stages: [.receiving, .sending])
        answers = metrics.counters(
            "\(prefix)_answers_total",
            help: "Final answers by how the question ended",
            label: "status",
            of: Answer.Status.allCases
        )
        engine = EngineGauges(metrics, prefix: prefix)
        parked = metrics.gauge(
            "\(prefix)_questions_parked",
            help: "Questions that wait in memory for their user's row, or for the database"
        )
        parkedBytes = metrics.gauge("\(prefix)_questions_parked_bytes", help: "About how much memory they take")
        parkings = metrics.counter(
            "\(prefix)_questions_parked_total",
            help: "Questions that had to wait; those that are read again after a rebalance count again"
        )
        waits = metrics.counters(
            "\(prefix)_question_waits_total",
            help: "Waits that ended: woken by the row, expired, or refused because too many wait",
            label: "end",
            of: WaitEnd.allCases
        )
        ahead = metrics.gauge(
            "\(prefix)_questions_read_ahead",
            help: "Offsets that were read and are not behind the group, for a question before them waits: no lag"
        )
        waitDuration = metrics.histogram(
            "\(prefix)_question_to_answer_seconds",
            help: "From asking to the final answer"
        )
        computeDuration = metrics.histogram(
            "\(prefix)_compute_duration_seconds",
            help: "From taking a question to the end of its answer, time beside others included"
        )
    }

    /// How a question's wait ended.
    enum WaitEnd: String, CaseIterable, Sendable {
        /// Its row covers enough events, or the database is back.
        case woken
        /// Its deadline passed.
        case expired
        /// There was no room for it, or it held the committed offset back too far.
        case refused
    }

    /// Counts the end of a wait.
    func count(_ end: WaitEnd) { waits[end]?.increment() }

    /// Reports the questions, and what the model is doing.
    func show(_ state: RespondingState, _ engine: EngineMetrics) {
        let last = shown.withLock { shown in
            defer { shown = engine }
            return shown
        }
        self.engine.show(engine, since: last)
        parked.set(Double(state.parked.count))
        parkedBytes.set(Double(state.parked.byteCount))
        let offsets = state.readAhead
        ahead.set(Double(offsets.values.reduce(0, +)))
        readAhead.withLock { $0 = offsets }
    }

    /// The part of a group's lag that is still unread: waiting questions, and those after them, have been read.
    func unread(_ lags: [TopicPartition: Int64]) -> [TopicPartition: Int64] {
        let ahead = readAhead.withLock { $0 }
        return Dictionary(uniqueKeysWithValues: lags.map { ($0, max(0, $1 - ahead[$0, default: 0])) })
    }

    /// Counts work that was committed, or needed no commit.
    func count(_ work: RespondingState.Work) {
        parkings.increment(by: work.parkedCount)
        let count = work.answers.count + work.rejections.count + work.copyCount
        if count > 0 { stream.countBatch(count, rejections: work.rejections, since: work.start ?? .now) }
        for (_, answer) in work.answers {
            answers[answer.status]?.increment()
            waitDuration.observe(Double(max(0, answer.answeredAt - answer.askedAt)) / 1_000)
            computeDuration.observe(Double(answer.computeMicroseconds) / 1e6)
            engine.count(answer)
        }
    }
}
