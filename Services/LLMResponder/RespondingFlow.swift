import Concurrency
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// `questions` in, `answers` out: each answer and its question's offset in one commit.
///
/// A question that must wait is parked: it stays in memory, and its partition's offset is committed only up to it,
/// while later ones are answered. It is tried again when its user's row has changed (`RowWatch`) and when its deadline
/// passes; until then it costs neither the other questions nor the log anything.
///
/// A batch may take long. So it is answered and committed in parts, and between them the log is polled for what is due.
struct RespondingFlow: Service {
    /// How far the committed offset of a partition may lag behind what was read; a question that waits longer is given
    /// up.
    static let window: Int64 = 1_000_000
    /// How long to poll for events between parked questions that may be answered.
    private static let glance: Duration = .milliseconds(2)
    /// How long questions are answered before a commit, and before the group hears from this member.
    ///
    /// Over Kafka a member that does not poll for a minute is removed from its group, and nothing it does after that is
    /// committed. One more answer may be added to this time; it has a limit of its own.
    static let partBudget: Duration = .seconds(5)

    let name = "responding-flow"
    let subscription: any Subscription
    let answering: Answering
    let watch: RowWatch
    private let restores: QuestionRestores
    private let parking: ParkingLimit
    private let rejectionRate: RejectionRate
    let window: Int64
    let partBudget: Duration
    let signal: Signal
    let metrics: LLMResponderMetrics
    private let health: HealthCondition
    let logger: Logger

    /// Creates the flow from its components.
    ///
    /// - Parameters:
    ///   - log: the log to search for answers.
    ///   - subscription: the questions; new partitions start paused.
    ///   - answering: answers one question.
    ///   - makeWatch: makes the row watch; it raises the signal.
    ///   - parking: how many questions may wait.
    ///   - window: how far the committed offset of a partition may lag behind what was read.
    ///   - partBudget: how long questions are answered before a commit.
    ///   - rejectionRate: how many records may be invalid.
    ///   - metrics: counts the work.
    ///   - health: whether partitions are assigned and answered.
    ///   - logger: receives warnings.
    init(
        _ log: any MessageLog,
        _ subscription: any Subscription,
        _ answering: Answering,
        watch makeWatch: (Signal) -> RowWatch,
        parking: ParkingLimit,
        window: Int64 = Self.window,
        partBudget: Duration = Self.partBudget,
        rejectionRate: RejectionRate = RejectionRate(),
        metrics: LLMResponderMetrics,
        health: HealthCondition,
        logger: Logger
    ) {
        self.subscription = subscription
        self.answering = answering
        self.parking = parking
        self.window = window
        self.partBudget = partBudget
        self.rejectionRate = rejectionRate
        self.metrics = metrics
        self.health = health
        self.logger = logger
        signal = Signal()
        watch = makeWatch(signal)
        restores = QuestionRestores(
            log,
            most: Int(clamping: window),
            signal: signal,
            metrics: metrics.stream,
            logger: logger
        )
    }

    /// Processes batches until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watch.run() }
            group.addTask { try await restores.run() }
            group.addTask { try await respond(until: shutdown) }
            // The first to end is the flow itself, or a task that failed.
            try await group.next()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private func respond(until shutdown: Shutdown) async throws {
        var state = RespondingState(parking: parking)
        var rate = rejectionRate
        while true {
            try await takeWhatIsDue(&state)
            takeNews(&state)
            try await answerParked(&state)
            show(state)
            if state.nextRecord != nil, !shutdown.isRequested {
                try await takeWhatIsDue(&state)
                try await answerPart(&state, &rate, until: shutdown)
                continue
            }
            // After every few parked questions the new ones get their turn.
            if state.hasReady, !shutdown.isRequested, let batch = try await subscription.readyBatch() {
                take(.batch(batch), &state)
                continue
            }
            switch try await subscription.next(until: shutdown, orWhen: wake(state)) {
            case .stopped: return
            case .woken: continue
            case .event(let event): take(event, &state)
            }
        }
    }

    /// Ends when there is something else to do than wait for an event.
    private func wake(_ state: RespondingState) -> @Sendable () async -> Void {
        if state.hasReady || (state.parked.nextDue ?? .max) <= WallClock.milliseconds {
            return { try? await Task.sleep(for: Self.glance) }
        }
        return { [signal, nextDue = state.parked.nextDue] in await Self.wait(for: signal, until: nextDue) }
    }

    /// Waits for the signal or a time; rechecks the clock every minute, because it may have been set.
    static func wait(for signal: Signal, until time: Int64?) async {
        guard let time else { return await signal.wait() }
        let rest = time.subtractingReportingOverflow(WallClock.milliseconds).partialValue
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await signal.wait() }
            group.addTask { try? await Task.sleep(for: .milliseconds(min(60_000, max(0, rest)))) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: - Events

    private func take(_ event: SubscriptionEvent, _ state: inout RespondingState) {
        state.askedAt = .now
        switch event {
        case .assigned(let partitions):
            restores.begin(partitions)
            metrics.stream.partitions.add(partitions, isReady: false)
        case .revoked(let partitions, _):
            restores.cancel(partitions)
            drop(partitions, &state)
            metrics.stream.partitions.remove(partitions)
        case .batch(let batch):
            metrics.stream.received.increment(by: batch.records.count)
            state.take(batch)
        }
    }

    /// During a batch, lets the group hear from this member regularly, and gives up partitions that were reassigned.
    func takeWhatIsDue(_ state: inout RespondingState) async throws {
        guard state.nextRecord != nil, ContinuousClock.now - state.askedAt >= partBudget else { return }
        while let event = try await subscription.eventBesideRecords() { take(event, &state) }
        state.askedAt = .now
    }

    /// Takes the results of the row watch and of the restores.
    private func takeNews(_ state: inout RespondingState) {
        for found in restores.take() {
            state.sharesPartitions = found.sharesPartitions
            for (partition, restored) in found.partitions {
                state.begin(partition, restored)
                if restored.goneCount > 0 {
                    logger.warning(
                        "questions were deleted before they were answered: the log keeps them for a day",
                        metadata: ["log.partition": "\(partition)", "records.count": "\(restored.goneCount)"]
                    )
                }
            }
            subscription.resume(Array(found.partitions.keys), notBefore: found.partitions.mapValues(\.start))
            metrics.stream.partitions.add(found.partitions.keys, isReady: true)
        }
        let news = watch.takeNews()
        if news.isBack { state.makeReady(state.parked.places) }
        for (user, eventCount) in news.found { state.makeReady(state.parked.places(of: user, knowing: eventCount)) }
    }

    /// Drops partitions that now belong to others, who read the questions waiting here from the log.
    func drop(_ partitions: [TopicPartition], _ state: inout RespondingState) {
        for user in state.drop(partitions) { watch.want(user, state.parked.leastEventCount(of: user)) }
    }

    private func show(_ state: RespondingState) {
        metrics.show(state)
        if let waiting = restores.waiting {
            health.fails("the answers to \(waiting) are being looked at")
        } else if state.isEmpty {
            health.fails("no partitions are assigned")
        } else {
            health.holds()
        }
    }

    // MARK: - Questions

    /// Answers questions of the current batch, at least one, until the part's time is used up, and commits them.
    private func answerPart(
        _ state: inout RespondingState,
        _ rate: inout RejectionRate,
        until shutdown: Shutdown
    ) async throws {
        let start = ContinuousClock.now
        var (receivedCount, rejectedCount) = (0, 0)
        var lastReason: String?
        while let record = state.nextRecord {
            receivedCount += 1
            state.work.receivedCount += 1
            state.work.partitions.insert(record.source)
            switch Self.question(in: record) {
            case .success(let question):
                guard try await take(question, appendedAt: record.timestamp, &state, until: shutdown) else { return }
            case .failure(let error) where !state.answered.isRejected(record):
                rejectedCount += 1
                lastReason = error.description
                state.work.rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            case .failure: break
            }
            state.advance(past: record)
            if ContinuousClock.now - start >= partBudget { break }
        }
        let failure = rate.count(received: receivedCount, rejected: rejectedCount, lastReason: lastReason)
        giveUpStragglers(&state)
        try await commit(&state, since: start)
        if let failure { throw failure }
    }

    private static func question(in record: Record) -> Result<PlacedQuestion, MessageError> {
        Result { () throws(MessageError) in
            guard let value = record.value else {
                throw MessageError(field: nil, reason: "a question without a value cannot be answered")
            }
            let question = try Question(decoding: value, contentType: record.header(ContentType.header))
            return PlacedQuestion(question, in: record, now: WallClock.milliseconds)
        }
    }
}
