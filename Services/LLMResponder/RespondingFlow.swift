import Concurrency
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// `questions` in, `answers` out: each answer and its question's offset in one commit.
///
/// Questions of all partitions are answered together, and their answers are committed in the order in which they end. A
/// question whose answer is in progress, or that must wait for its user's row, stays in memory, and its partition's
/// offset is committed only up to it, while later ones are answered. One that waits is tried again when its user's row
/// has changed (`RowWatch`) and when its deadline passes; until then it costs neither the other questions nor the log
/// anything.
struct RespondingFlow: Service {
    /// How far the committed offset of a partition may lag behind what was read; a question that waits longer is given
    /// up.
    static let window: Int64 = 1_000_000
    /// How long to poll for events between parked questions that may be answered.
    private static let glance: Duration = .milliseconds(2)
    /// How long the group may hear nothing from this member while it reads no records.
    ///
    /// Over Kafka a member that does not poll for a minute is removed from its group, and nothing it does after that is
    /// committed.
    static let pollInterval: Duration = .seconds(5)

    let name = "responding-flow"
    let subscription: any Subscription
    let answering: Answering
    let watch: RowWatch
    private let restores: QuestionRestores
    private let parking: ParkingLimit
    private let rejectionRate: RejectionRate
    let window: Int64
    private let pollInterval: Duration
    /// Answers in progress at once.
    let runningLimit: Int
    private let signal: Signal
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
    ///   - runningLimit: how many answers may be in progress.
    ///   - pollInterval: how long the group may hear nothing from this member.
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
        runningLimit: Int,
        pollInterval: Duration = Self.pollInterval,
        rejectionRate: RejectionRate = RejectionRate(),
        metrics: LLMResponderMetrics,
        health: HealthCondition,
        logger: Logger
    ) {
        self.subscription = subscription
        self.answering = answering
        self.parking = parking
        self.window = window
        self.runningLimit = runningLimit
        self.pollInterval = pollInterval
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

    /// Answers questions until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watch.run() }
            group.addTask { try await restores.run() }
            group.addTask { try await answering.responder.run(raising: signal) }
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
            takeNews(&state)
            try await beginParked(&state)
            let failure = try await beginNew(&state, &rate, until: shutdown)
            giveUpStragglers(&state)
            try await commit(&state)
            if let failure { throw failure }
            show(state)
            // What is in progress is answered by whoever has its partition next.
            if shutdown.isRequested { return await subscription.close() }
            guard state.nextRecord == nil else {
                try await waitForRoom(&state, until: shutdown)
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
        if state.hasReady && hasRoom(state) || (state.parked.nextDue ?? .max) <= WallClock.milliseconds {
            return { try? await Task.sleep(for: Self.glance) }
        }
        return { [signal, nextDue = state.parked.nextDue] in await Self.wait(for: signal, until: nextDue) }
    }

    /// Waits while records are there that cannot be taken: until there is news, or something expires; the group hears
    /// from this member meanwhile.
    private func waitForRoom(_ state: inout RespondingState, until shutdown: Shutdown) async throws {
        let rest = max(Self.glance, pollInterval - (ContinuousClock.now - state.polledAt))
        let poll = WallClock.milliseconds + Int64(rest / .milliseconds(1))
        let due = min(state.parked.nextDue ?? .max, state.nextDue ?? .max, poll)
        // A stop ends the wait; so does news, which is taken next.
        _ = try await shutdown.cancelling { [signal] in
            await Self.wait(for: signal, until: due)
            try Task.checkCancellation()
        }
        try await pollBesideRecords(&state)
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
        state.polledAt = .now
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

    /// Lets the group hear from this member while records are there, and gives up partitions that were reassigned.
    private func pollBesideRecords(_ state: inout RespondingState) async throws {
        guard state.nextRecord != nil, ContinuousClock.now - state.polledAt >= pollInterval else { return }
        while let event = try await subscription.eventBesideRecords() { take(event, &state) }
        state.polledAt = .now
    }

    /// Takes the results of the model, of the row watch and of the restores.
    private func takeNews(_ state: inout RespondingState) {
        for finished in answering.responder.takeFinished() {
            guard let entry = state.running.remove(finished.ticket) else { continue }
            state.answer(entry.question, with: answering.answer(entry, finished.result), since: entry.start)
        }
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
        let dropped = state.drop(partitions)
        answering.responder.cancel(dropped.running)
        for user in dropped.users { watch.want(user, state.parked.leastEventCount(of: user)) }
    }

    private func show(_ state: RespondingState) {
        metrics.show(state, answering.responder.metrics)
        if let waiting = restores.waiting {
            health.fails("the answers to \(waiting) are being looked at")
        } else if state.isEmpty {
            health.fails("no partitions are assigned")
        } else {
            health.holds()
        }
    }

    // MARK: - Questions

    /// Begins the answers of new questions, as many as there is room for.
    ///
    /// - Returns: the error of a log whose records are mostly invalid; what was read is to be committed first.
    private func beginNew(
        _ state: inout RespondingState,
        _ rate: inout RejectionRate,
        until shutdown: Shutdown
    ) async throws -> (any Error)? {
        var (receivedCount, rejectedCount) = (0, 0)
        var lastReason: String?
        while let record = state.nextRecord, !shutdown.isRequested {
            switch Self.question(in: record) {
            case .success(let question):
                guard try await take(question, appendedAt: record.timestamp, &state) else {
                    state.nextDue = question.due
                    return rate.count(received: receivedCount, rejected: rejectedCount, lastReason: lastReason)
                }
            case .failure(let error) where !state.answered.isRejected(record):
                rejectedCount += 1
                lastReason = error.description
                state.work.rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            case .failure: state.work.copyCount += 1
            }
            receivedCount += 1
            state.work.partitions.insert(record.source)
            state.advance(past: record)
            // A database that is slow must not keep the group waiting.
            try await pollBesideRecords(&state)
        }
        state.nextDue = nil
        return rate.count(received: receivedCount, rejected: rejectedCount, lastReason: lastReason)
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
