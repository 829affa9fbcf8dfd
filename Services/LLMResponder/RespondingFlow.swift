import Messages
import ServiceRuntime
import StreamProcessing
import Streams

/// `questions` in, `answers` out: each answer and its question's offset in one commit.
struct RespondingFlow: Service {
    /// How long one look at questions that must wait may hold up those behind them.
    static let patience: Duration = .milliseconds(100)
    private static let pause: Duration = .milliseconds(4)

    let name = "responding-flow"
    private let log: any MessageLog
    private let subscription: any Subscription
    private let answering: Answering
    private let rejectionRate: RejectionRate
    private let metrics: LLMResponderMetrics
    private let health: HealthCondition
    private let logger: Logger

    /// Joins the parts.
    init(
        _ log: any MessageLog,
        _ subscription: any Subscription,
        _ answering: Answering,
        rejectionRate: RejectionRate = RejectionRate(),
        metrics: LLMResponderMetrics,
        health: HealthCondition,
        logger: Logger
    ) {
        self.log = log
        self.subscription = subscription
        self.answering = answering
        self.rejectionRate = rejectionRate
        self.metrics = metrics
        self.health = health
        self.logger = logger
    }

    /// Takes batches until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        var rate = rejectionRate
        var held: Set<TopicPartition> = []
        var answered = AnsweredQuestions()
        while let event = try await subscription.next(until: shutdown) {
            switch event {
            case .assigned(let partitions):
                guard let floors = try await restore(partitions, &answered, until: shutdown) else { return }
                subscription.resume(partitions, notBefore: floors)
                held.formUnion(partitions)
                metrics.stream.partitions.add(partitions, isReady: true)
            case .revoked(let partitions, _):
                held.subtract(partitions)
                // What was answered last may have to be answered again; what is still there is learnt anew.
                answered.forget(partitions)
                metrics.stream.partitions.remove(partitions)
            case .batch(let batch): try await process(batch, &answered, &rate)
            }
            if held.isEmpty { health.fails("no partitions are assigned") } else { health.holds() }
        }
    }

    /// Nil when the service is to stop.
    private func restore(
        _ partitions: [TopicPartition],
        _ answered: inout AnsweredQuestions,
        until shutdown: Shutdown
    ) async throws -> [TopicPartition: Int64]? {
        var backoff = Backoff()
        while !shutdown.isRequested {
            do {
                let result = try await shutdown.cancelling { [answered, log] in
                    var learnt = answered
                    return (floors: try await learnt.restore(partitions, from: log), learnt: learnt)
                }
                guard let result else { return nil }
                answered = result.learnt
                return result.floors
            } catch let error as StreamError {
                // A read that is cancelled ends with an error of the log.
                if shutdown.isRequested { return nil }
                guard case .unavailable = error else { throw error }
                logger.warning("cannot see what is answered already", metadata: ["error": error.description])
            }
            try? await shutdown.wait(atMost: backoff.next())
        }
        return nil
    }

    private func process(
        _ batch: Batch,
        _ answered: inout AnsweredQuestions,
        _ rate: inout RejectionRate
    ) async throws {
        let start = ContinuousClock.now
        metrics.stream.received.increment(by: batch.records.count)
        let (questions, rejections) = decode(batch.records)
        let failure = rate.count(
            received: batch.records.count,
            rejected: rejections.count,
            lastReason: rejections.last?.reason
        )
        let (answers, waiting) = try await answer(Self.open(questions, answered))
        let outputs =
            try answers.map { try AnsweredQuestions.record($0.1, to: $0.0) } + waiting.map(Self.again)
            + rejections.map { $0.outgoing(service: "llm-responder") }
        if case .refused(let reason) = try await subscription.commitResult(of: batch, producing: outputs) {
            // Nobody has seen these answers; whoever has the partition now answers again.
            metrics.stream.refusedCommits.increment()
            return logger.warning("the commit of answers was refused", metadata: ["reason": reason])
        }
        for (partition, answers) in Dictionary(grouping: answers, by: \.0.source) {
            answered.insert(answers.map { AnsweredQuestions.Key($0.1) }, in: partition)
        }
        metrics.count(batch, answers.map(\.1), waiting: waiting.count, rejections, since: start)
        if let failure { throw failure }
    }

    /// Those that have no answer yet, each once.
    private static func open(
        _ questions: [(Record, Question)],
        _ answered: AnsweredQuestions
    ) -> [(Record, Question)] {
        var seen: Set<AnsweredQuestions.Key> = []
        return questions.filter { record, question in
            !answered.contains(question, in: record) && seen.insert(AnsweredQuestions.Key(question)).inserted
        }
    }

    private func decode(_ records: [Record]) -> (questions: [(Record, Question)], rejections: [RejectedRecord]) {
        var questions: [(Record, Question)] = []
        var rejections: [RejectedRecord] = []
        for record in records {
            do throws(MessageError) {
                guard let value = record.value else {
                    throw MessageError(field: nil, reason: "a question without a value cannot be answered")
                }
                questions.append(
                    (record, try Question(decoding: value, contentType: record.header(ContentType.header)))
                )
            } catch {
                rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            }
        }
        return (questions, rejections)
    }

    /// Answers what can be answered, and looks again at the rest for a moment if there was nothing else to do.
    private func answer(
        _ questions: [(Record, Question)]
    ) async throws -> (answers: [(Record, Answer)], waiting: [Record]) {
        let end = ContinuousClock.now + Self.patience
        var answers: [(Record, Answer)] = []
        var open = questions
        while true {
            var waiting: [(Record, Question)] = []
            for (record, question) in open {
                switch try await answering.attempt(question) {
                case .answered(let answer): answers.append((record, answer))
                case .mustWait: waiting.append((record, question))
                }
            }
            open = waiting
            guard !open.isEmpty, answers.isEmpty, ContinuousClock.now < end else { break }
            try await Task.sleep(for: Self.pause)
        }
        return (answers, open.map(\.0))
    }

    /// A question that must wait goes to the end of its partition, in the commit that steps over it: it stays exactly
    /// once in the log, and those behind it need not wait.
    private static func again(_ record: Record) -> OutgoingRecord {
        OutgoingRecord(
            topic: record.source.topic,
            partition: record.source.partition,
            key: record.key,
            value: record.value,
            headers: record.headers
        )
    }
}
