import Concurrency
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs

extension RespondingFlow {
    /// How many parked questions are answered before new ones get their turn.
    private static let turnCount = 4
    /// How many expired questions are answered in one commit.
    private static let expiredCount = 500
    /// The minimum wait for the database before anything else is looked at.
    private static let leastPause: Duration = .milliseconds(50)

    /// Answers a question, or parks it.
    ///
    /// While too many questions wait for the database, reading is paused, because no more could be answered.
    /// - Returns: false if the service is to stop before that.
    func take(
        _ question: PlacedQuestion,
        appendedAt: Int64,
        _ state: inout RespondingState,
        until shutdown: Shutdown
    ) async throws -> Bool {
        let isKnown =
            state.answered.contains(question, appendedAt: appendedAt) || state.parked.contains(question.key)
            || state.work.keys.contains(question.key)
        if isKnown { return true }
        while true {
            switch try await attempt(question) {
            case .answered(let answer):
                state.answer(question, with: answer)
                return true
            case .mustWaitForEvents:
                park(question, &state)
                return true
            case .mustWaitForDatabase:
                if state.parked.hasRoom(for: question) {
                    park(question, &state)
                    return true
                }
                try await pause(before: question, &state, until: shutdown)
                if shutdown.isRequested { return false }
                // The new owner of its partition reads it again.
                if !state.holds(question.place.partition) { return true }
            }
        }
    }

    /// Queries the database only while it is available: otherwise every question would wait for it again.
    private func attempt(_ question: PlacedQuestion) async throws -> QuestionOutcome {
        if watch.isAway, WallClock.milliseconds < question.due { return .mustWaitForDatabase("") }
        let outcome = try await answering.attempt(question)
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

    /// Waits until there is room for a question, it has expired or is gone, the database is back, or the service is to
    /// stop.
    private func pause(
        before question: PlacedQuestion,
        _ state: inout RespondingState,
        until shutdown: Shutdown
    ) async throws {
        while !shutdown.isRequested, watch.isAway, state.holds(question.place.partition),
            !state.parked.hasRoom(for: question), WallClock.milliseconds < question.due
        {
            // The group must hear from this member regularly, however long the database is unavailable.
            let look = WallClock.milliseconds + Int64(max(partBudget, Self.leastPause) / .milliseconds(1))
            let due = min(question.due, state.parked.nextDue ?? .max, look)
            // A stop ends the wait; so does news, which `takeNews` will see again.
            _ = try await shutdown.cancelling { [signal] in
                await Self.wait(for: signal, until: due)
                try Task.checkCancellation()
            }
            answerExpired(&state)
            metrics.show(state)
            try await commit(&state, since: .now)
            try await takeWhatIsDue(&state)
        }
    }

    // MARK: - Parked questions

    /// Answers parked questions: the expired ones, and some of those that need not wait any longer.
    func answerParked(_ state: inout RespondingState) async throws {
        let start = ContinuousClock.now
        answerExpired(&state)
        for _ in 0..<Self.turnCount where state.hasReady {
            for question in state.takeReady(atMost: 1) {
                guard case .answered(let answer) = try await attempt(question) else { continue }
                unpark(question, &state)
                state.answer(question, with: answer)
                metrics.count(answer.status == .expired ? .expired : .woken)
            }
            if ContinuousClock.now - start >= partBudget { break }
        }
        try await commit(&state, since: start)
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
    func commit(_ state: inout RespondingState, since start: ContinuousClock.Instant) async throws {
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
        metrics.count(state.finish(offsets, isCommitted: hasNews, now: WallClock.milliseconds), since: start)
    }
}
