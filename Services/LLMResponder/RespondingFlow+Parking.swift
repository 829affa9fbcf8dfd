import Concurrency
import Bytes
import EmbeddingStore
import Messages
import ServiceRuntime
import Flows
import MessageLogs

extension RespondingFlow {
    /// How many parked questions are looked at before new ones get their turn.
    private static let turnCount = 32
    /// How many expired questions are answered in one commit.
    private static let expiredCount = 500

    /// Whether one more answer may be begun.
    func hasRoom(_ state: RespondingState) -> Bool { state.running.count < runningLimit }

    /// Begins the answer of a new question, or parks it.
    ///
    /// - Returns: false if there is no room for it now. While too many questions wait for the database, that is so for
    ///   all, because none could be answered.
    func take(
        _ question: PlacedQuestion,
        appendedAt: Int64,
        _ state: inout RespondingState
    ) async throws -> Bool {
        if state.knows(question, appendedAt: appendedAt) {
            state.work.copyCount += 1
            return true
        }
        // An answer that comes too late needs no room.
        if WallClock.milliseconds >= question.due {
            state.answer(question, with: answering.expired(question))
            return true
        }
        guard hasRoom(state) else { return false }
        let start = ContinuousClock.now
        switch try await look(at: question) {
        case .answered(let answer): state.answer(question, with: answer, since: start)
        case .mayBegin(let row): begin(question, from: row, since: start, &state)
        case .mustWaitForEvents: park(question, &state)
        case .mustWaitForDatabase:
            guard state.parked.hasRoom(for: question) else { return false }
            park(question, &state)
        }
        return true
    }

    private func begin(
        _ question: PlacedQuestion,
        from row: UserEmbedding?,
        since start: ContinuousClock.Instant,
        _ state: inout RespondingState
    ) {
        let (ticket, entry) = answering.begin(question, from: row, since: start)
        state.running.insert(entry, as: ticket)
    }

    /// Queries the database only while it is available: otherwise every question would wait for it again.
    private func look(at question: PlacedQuestion) async throws -> QuestionOutcome {
        if watch.isAway, WallClock.milliseconds < question.due { return .mustWaitForDatabase("") }
        let outcome = try await answering.look(at: question)
        if case .mustWaitForDatabase(let reason) = outcome {
            metrics.stream.countError(.receiving)
            watch.databaseFailed(reason)
        }
        return outcome
    }

    private func park(_ question: PlacedQuestion, _ state: inout RespondingState) {
        guard state.parked.hasRoom(for: question) else {
            let reason =
                "\(state.parked.count) questions wait for their users' events already, as many as this responder may hold: "
                + "ask again later, or with a smaller minimum_event_count, or raise waiting-questions or waiting-megabytes"
            state.answer(question, with: answering.refused(question, reason: reason))
            return metrics.count(.refused)
        }
        state.parked.park(question)
        state.work.parkedCount += 1
        watch.want(question.user, state.parked.leastEventCount(of: question.user))
    }

    private func unpark(_ question: PlacedQuestion, _ state: inout RespondingState) {
        state.parked.remove(question.place)
        watch.want(question.user, state.parked.leastEventCount(of: question.user))
    }

    // MARK: - Parked questions

    /// Answers parked questions that have expired, and begins the answers of some that need not wait any longer.
    func beginParked(_ state: inout RespondingState) async throws {
        answerExpired(&state)
        for _ in 0..<Self.turnCount where state.hasReady && hasRoom(state) {
            for question in state.takeReady(atMost: 1) {
                let start = ContinuousClock.now
                switch try await look(at: question) {
                case .answered(let answer):
                    unpark(question, &state)
                    state.answer(question, with: answer, since: start)
                    metrics.count(answer.status == .expired ? .expired : .woken)
                case .mayBegin(let row):
                    unpark(question, &state)
                    begin(question, from: row, since: start, &state)
                    metrics.count(.woken)
                case .mustWaitForEvents, .mustWaitForDatabase: break
                }
            }
        }
    }

    private func answerExpired(_ state: inout RespondingState) {
        for question in state.parked.takeExpired(WallClock.milliseconds, atMost: Self.expiredCount) {
            unpark(question, &state)
            state.answer(question, with: answering.expired(question))
            metrics.count(.expired)
        }
    }

    /// Ends the wait of questions that hold the committed offset too far behind what was read.
    ///
    /// The next owner of the partition would have to read all of that again.
    func giveUpStragglers(_ state: inout RespondingState) {
        for partition in state.work.partitions {
            while let question = state.straggler(in: partition, window: window) {
                unpark(question, &state)
                let reason =
                    "\(window) questions of its partition were read since it came, and it still waits: ask again"
                state.answer(question, with: answering.refused(question, reason: reason))
                metrics.count(.refused)
            }
        }
    }

    // MARK: - Committing

    /// Commits what is pending, if it changes anything.
    func commit(_ state: inout RespondingState) async throws {
        state.leaveOutLost()
        let offsets = state.offsets
        let hasNews = state.hasNews
        if hasNews {
            let sharesPartitions = state.sharesPartitions
            var outputs = state.work.rejections.map { $0.outgoing(service: "llm-responder") }
            for (question, answer) in state.work.answers {
                let progress = state.progress(of: question.place.partition)
                outputs.append(
                    try progress.record(answer, to: question.place, sharesPartitions: sharesPartitions)
                )
            }
            if case .refused(let reason) = try await subscription.commitResult(of: offsets, producing: outputs) {
                // Nobody has seen these answers; the new owner of the partitions answers again.
                drop(Array(offsets.keys), &state)
                state.work = RespondingState.Work()
                metrics.stream.refusedCommits.increment()
                return logger.warning("the commit of answers was refused", metadata: ["reason": reason])
            }
        }
        metrics.count(state.finish(offsets, isCommitted: hasNews, now: WallClock.milliseconds))
    }
}
