import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import TestSupport
import Testing
import UserModels
import Verification

@testable import LLMResponder

/// Questions that are answered together, and answers that take long.
@Suite(.timeLimit(.minutes(15))) struct AnswersInProgressTests {
    private static let partition = TopicPartition(Topic.questions.rawValue, 0)

    /// What a flow's subscription was wrapped in.
    private final class Wrapped: Sendable {
        private let state = Mutex<WatchedSubscription?>(nil)

        func wrap(_ watched: WatchedSubscription) -> WatchedSubscription {
            state.withLock { $0 = watched }
            return watched
        }

        var subscription: WatchedSubscription? { state.withLock { $0 } }
    }

    /// Whatever the order in which answers end, no commit goes past a question without an answer.
    private func expectNoGaps(_ commits: [WatchedSubscription.Commit], count: Int64) {
        var open = Set(0..<count)
        for commit in commits {
            for source in commit.sources { open.remove(Int64(source.split(separator: " ")[1]) ?? -1) }
            #expect(commit.offsets[Self.partition, default: 0] <= open.min() ?? count, "\(commits)")
        }
        #expect(open.isEmpty)
        #expect(commits.last?.offsets == [Self.partition: count])
    }

    @Test(arguments: [1, 3, 8])
    func answersAreCommittedWhenTheyEnd(runningLimit: Int) async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.ask("long", "ann", writing: 120)
        for id in ["a", "b", "c", "d"] { try await fixture.ask(id, "ann") }
        try await fixture.ask("longer", "ann", writing: 150)
        let wrapped = Wrapped()
        try await fixture.whileRunning(
            runningLimit: runningLimit,
            through: { wrapped.wrap(WatchedSubscription($0)) }
        ) { _ in
            try await fixture.answered("a", "b", "c", "d", "long", "longer")
        }
        #expect(try await fixture.answeredIDs() == ["a", "b", "c", "d", "long", "longer"])
        expectNoGaps(try await #require(wrapped.subscription).commits, count: 6)
        await fixture.close()
    }

    /// While there is room for no answer, as when those in progress take long: what comes too late does not wait for it.
    @Test func anOverdueQuestionNeedsNoRoom() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b"] { try await fixture.ask(id, "ann", milliseconds: 50) }
        try await fixture.ask("open", "ann")
        try await fixture.whileRunning(runningLimit: 0) { _ in try await fixture.answered("a", "b") }
        let answers = try await fixture.answers()
        #expect(answers.map(\.questionID) == ["a", "b"] && answers.allSatisfy { $0.status == .expired })
        try await fixture.whileRunning { _ in try await fixture.answered("open") }
        await fixture.close()
    }

    /// No commit goes past a question that waits, nor loses one that is behind it.
    @Test func aQuestionThatWaitsKeepsTheOffset() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.ask("a", "ann")
        try await fixture.ask("late", "ann", knowing: 2)
        for id in ["b", "c"] { try await fixture.ask(id, "ann") }
        let wrapped = Wrapped()
        try await fixture.whileRunning(through: { wrapped.wrap(WatchedSubscription($0)) }) { running in
            try await fixture.answered("a", "b", "c")
            try await running.parks(1)
            try await fixture.write("ann", count: 2)
            try await fixture.answered("late")
        }
        let commits = try await #require(wrapped.subscription).commits
        expectNoGaps(commits, count: 4)
        #expect(commits.last?.sources == ["0 1"])
        await fixture.close()
    }

    /// Another member comes while more questions are there than may be in progress, and does not wait for their end.
    @Test(arguments: TestedLog.available)
    func aPartitionIsGivenUpWhileAnswersAreInProgress(kind: TestedLog) async throws {
        let fixture = try await RespondingFixture(kafka: kind == .kafka, partitions: 2)
        try await fixture.write("ann", count: 1)
        for number in 0..<3 {
            for partition: Int32 in 0..<2 { try await fixture.ask("\(partition)-\(number)", "ann", in: partition) }
        }
        let all = ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
        let wrapped = Wrapped()
        let (first, goesOn) = (Shutdown(), Shutdown())
        try await fixture.whileRunning(
            runningLimit: 1,
            pollInterval: .zero,
            through: { subscription in
                let watched = WatchedSubscription(subscription, waitsForEvent: true) { number in
                    guard number == 1 else { return }
                    first.request()
                    await goesOn.requested()
                }
                return wrapped.wrap(watched)
            }
        ) { _ in
            await first.requested()
            try await fixture.whileRunning(member: "llm-responder-heir") { _ in
                goesOn.request()
                try await poll("all are answered") { try await fixture.answers().count >= all.count }
            }
        }
        let events = try await #require(wrapped.subscription).eventsBesideRecords
        guard case .revoked(let given, _) = events.first else {
            Issue.record("\(events) is no partition that was given up")
            return
        }
        #expect(given.count == 1)
        #expect(try await fixture.answeredIDs() == all)
        try await fixture.ask("then", "ann")
        try await fixture.whileRunning { _ in try await fixture.answered("then") }
        #expect(try await fixture.answeredIDs() == all + ["then"])
        await fixture.close()
    }

    /// A stop waits neither for the answers in progress nor for the questions behind them: whoever comes next answers.
    @Test func aStopWaitsForNoAnswer() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b", "c", "d"] { try await fixture.ask(id, "ann") }
        let wrapped = Wrapped()
        let (first, goesOn) = (Shutdown(), Shutdown())
        try await fixture.whileRunning(
            runningLimit: 1,
            through: { subscription in
                let watched = WatchedSubscription(subscription) { number in
                    guard number == 1 else { return }
                    first.request()
                    await goesOn.requested()
                }
                return wrapped.wrap(watched)
            }
        ) { running in
            await first.requested()
            running.shutdown.request()
            goesOn.request()
        }
        #expect(try await fixture.answeredIDs() == ["a"])
        #expect(try await fixture.committed(0) == 1)
        try await fixture.whileRunning { _ in try await fixture.answered("b", "c", "d") }
        #expect(try await fixture.answeredIDs() == ["a", "b", "c", "d"])
        await fixture.close()
    }

    /// While nothing can be answered the group hears of the member all the same.
    @Test func whoWaitsForTheDatabaseAsksWhatIsDue() async throws {
        let cluster = try PrivatePostgres.own()
        let fixture = try await RespondingFixture(cluster: cluster, partitions: 1)
        try await fixture.write("ann", count: 1)
        let wrapped = Wrapped()
        try await fixture.whileRunning(
            parking: ParkingLimit(count: 2, byteCount: 1 << 20),
            pollInterval: .zero,
            through: { wrapped.wrap(WatchedSubscription($0)) }
        ) { running in
            try await fixture.ask("before", "ann")
            try await fixture.answered("before")
            let watched = try #require(wrapped.subscription)
            try await cluster.restart {
                for id in ["a", "b", "c"] { try await fixture.ask(id, "ann") }
                try await running.parks(2)
                let askedCount = await watched.askedCount
                try await poll("it asks what is due") { await watched.askedCount >= askedCount + 5 }
            }
            try await fixture.answered("a", "b", "c")
        }
        #expect(try await fixture.answeredIDs() == ["a", "b", "before", "c"])
        await fixture.close()
    }

    /// What an answer in progress has used is free again once its question's partition is another's.
    @Test func theEngineShowsWhatItDoes() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.ask("text", "ann", writing: 20)
        try await fixture.whileRunning { running in
            try await fixture.answered("text")
            let answer = try #require(try await fixture.answer("text"))
            #expect(answer.promptTokens > 0)
            try await poll("the counters advance") {
                running.metric("userllm_llm_responder_prompt_tokens_total") == Double(answer.promptTokens)
                    && running.metric("userllm_llm_responder_answer_tokens_total") >= Double(answer.answerTokens)
                    && running.metric("userllm_llm_responder_sequences_running") == 0
                    && running.metric("userllm_llm_responder_cache_pages_used") == 0
            }
            #expect(running.metric("userllm_llm_responder_cache_pages") > 0)
        }
        await fixture.close()
    }

    // MARK: - Answers

    @Test func anAnswerThatTakesTooLongFailsAndIsCommitted() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b"] { try await fixture.ask(id, "ann") }
        let limits = AnswerLimits(time: .zero, byteCount: 1 << 30)
        try await fixture.whileRunning(answerLimits: limits) { _ in try await fixture.answered("a", "b") }
        for answer in try await fixture.answers() {
            #expect(answer.status == .failed && answer.text.isEmpty && answer.items.isEmpty)
            #expect(answer.reason.contains("was not begun within"))
        }
        #expect(try await fixture.committed(0) == 2)
        await fixture.close()
    }

    @Test func anAnswerThatTakesTooMuchMemoryFails() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.ask("a", "ann")
        let limits = AnswerLimits(time: .seconds(10_000), byteCount: 1)
        try await fixture.whileRunning(answerLimits: limits) { _ in try await fixture.answered("a") }
        let answer = try #require(try await fixture.answer("a"))
        #expect(answer.status == .failed && answer.reason.contains("of memory"))
        await fixture.close()
    }
}
