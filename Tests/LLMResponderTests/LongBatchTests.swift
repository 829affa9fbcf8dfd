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

/// Batches and answers that take long.
@Suite(.timeLimit(.minutes(15))) struct LongBatchTests {
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

    @Test func aBatchIsCommittedInParts() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b", "c", "d"] { try await fixture.ask(id, "ann") }
        let wrapped = Wrapped()
        try await fixture.whileRunning(partBudget: .zero, through: { wrapped.wrap(WatchedSubscription($0)) }) { _ in
            try await fixture.answered("a", "b", "c", "d")
        }
        let watched = try #require(wrapped.subscription)
        let commits = await watched.commits
        #expect(commits.map(\.sources) == [["0 0"], ["0 1"], ["0 2"], ["0 3"]])
        #expect(commits.map(\.offsets) == (1...4).map { [Self.partition: $0] })
        #expect(await watched.askedCount >= 3)
        await fixture.close()
    }

    @Test func whatIsAnsweredInTimeIsOneCommit() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b", "c", "d"] { try await fixture.ask(id, "ann") }
        let wrapped = Wrapped()
        try await fixture.whileRunning(
            partBudget: .seconds(10_000),
            through: { wrapped.wrap(WatchedSubscription($0)) }
        ) { _ in
            try await fixture.answered("a", "b", "c", "d")
        }
        let watched = try #require(wrapped.subscription)
        #expect(await watched.commits.map(\.sources) == [["0 0", "0 1", "0 2", "0 3"]])
        #expect(await watched.commits.map(\.offsets) == [[Self.partition: 4]])
        #expect(await watched.askedCount == 0)
        await fixture.close()
    }

    /// No part commits an offset past a question that waits, nor loses one that is behind it.
    @Test func aQuestionThatWaitsKeepsTheOffsetInEachPart() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.ask("a", "ann")
        try await fixture.ask("late", "ann", knowing: 2)
        for id in ["b", "c"] { try await fixture.ask(id, "ann") }
        let wrapped = Wrapped()
        try await fixture.whileRunning(
            partBudget: .zero,
            through: { wrapped.wrap(WatchedSubscription($0)) }
        ) { running in
            try await fixture.answered("a", "b", "c")
            try await running.parks(1)
            try await fixture.write("ann", count: 2)
            try await fixture.answered("late")
        }
        let commits = try await #require(wrapped.subscription).commits
        #expect(commits.map(\.sources) == [["0 0"], ["0 2"], ["0 3"], ["0 1"]])
        #expect(commits.compactMap { $0.offsets[Self.partition] } == [1, 1, 1, 4])
        await fixture.close()
    }

    /// Another member comes while a batch of both partitions is worked on, and does not wait for its end.
    @Test(arguments: TestedLog.available)
    func aPartitionIsGivenUpBetweenTwoParts(kind: TestedLog) async throws {
        let fixture = try await RespondingFixture(kafka: kind == .kafka, partitions: 2)
        try await fixture.write("ann", count: 1)
        for number in 0..<2 {
            for partition: Int32 in 0..<2 { try await fixture.ask("\(partition)-\(number)", "ann", in: partition) }
        }
        let all = ["0-0", "0-1", "1-0", "1-1"]
        let wrapped = Wrapped()
        let (first, goesOn) = (Shutdown(), Shutdown())
        try await fixture.whileRunning(
            partBudget: .zero,
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

    /// A stop does not wait for the end of a batch, and what is left of it is answered by whoever comes next.
    @Test func aStopIsHeardBetweenTwoParts() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b", "c", "d"] { try await fixture.ask(id, "ann") }
        let wrapped = Wrapped()
        let (first, goesOn) = (Shutdown(), Shutdown())
        try await fixture.whileRunning(
            partBudget: .zero,
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
            partBudget: .zero,
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

    // MARK: - Answers

    @Test func anAnswerThatTakesTooLongFailsAndIsCommitted() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["a", "b"] { try await fixture.ask(id, "ann") }
        let limits = AnswerLimits(time: .zero, byteCount: 1 << 30)
        try await fixture.whileRunning(answerLimits: limits) { _ in try await fixture.answered("a", "b") }
        for answer in try await fixture.answers() {
            #expect(answer.status == .failed && answer.text.isEmpty && answer.items.isEmpty)
            #expect(answer.reason.contains("text is") && answer.reason.contains("takes longer than"))
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
