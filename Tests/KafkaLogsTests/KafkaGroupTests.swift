import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .inTurns,
    .timeLimit(.minutes(15))
)
struct KafkaGroupTests {
    @Test func membersShareAndGiveBackPartitions() async throws {
        let (log, topic) = try await openLog(partitions: 4)
        let group = "group-\(UUID().uuidString)"
        let first = try await log.subscribe(groupOptions(topic, group: group, member: "worker-0"))
        guard case .assigned(let all) = try await first.next() else { return }
        #expect(all.count == 4)
        let second = try await log.subscribe(groupOptions(topic, group: group, member: "worker-1"))
        // The first is asked for two of its four; the second gets them only when the first has let go.
        async let given = first.next()
        async let taken = second.next()
        guard case .revoked(let revoked, lost: false) = try await given else {
            Issue.record("no partitions were given up")
            return
        }
        #expect(revoked.count == 2)
        async let keepsGoing = first.next()
        guard case .assigned(let assigned) = try await taken else { return }
        #expect(Set(assigned) == Set(revoked))
        await second.close()
        guard case .assigned(let back) = try await keepsGoing else { return }
        #expect(Set(back) == Set(revoked))
        await first.close()
        await log.close()
    }

    @Test func aZombieOfTheSameSlotIsFenced() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let (_, output) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<5)
        let group = "group-\(UUID().uuidString)"
        let old = try await log.subscribe(groupOptions(topic, group: group))
        let batch = try await nextBatch(old)
        let new = try await log.subscribe(groupOptions(topic, group: group))
        func outputs(_ name: String) -> [OutgoingRecord] {
            batch.records.map { OutgoingRecord(topic: output, key: $0.key, value: bytes(name)) }
        }
        // Its producer is fenced although its membership still stands.
        let error = await #expect(throws: StreamError.self) {
            try await old.commit(batch, producing: outputs("old"))
        }
        guard case .commitRefused = error else {
            Issue.record("\(String(describing: error)) is no refusal")
            return
        }
        await old.close()
        // The old one has fenced it in turn, when it cleared up after itself; that costs it one commit.
        for attempt in 1...2 {
            let again = try await nextBatch(new)
            #expect(again.records == batch.records)
            do {
                try await new.commit(again, producing: outputs("new"))
                break
            } catch {
                guard case .commitRefused = error, attempt == 1 else { throw error }
            }
        }
        let found = try await replayed(log, TopicPartition(output, 0))
        #expect(found.map { text($0.value) } == Array(repeating: "new", count: 5))
        await new.close()
        await log.close()
    }

    @Test func aCommitOfAnOlderGenerationIsRefused() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<5)
        let group = "group-\(UUID().uuidString)"
        let address = try await PrivateKafka.shared().address
        let old = try await log.subscribe(groupOptions(topic, group: group, member: "worker-0"))
        let batch = try await nextBatch(old)
        // Another member takes over while the first is stopped; here its client stops hearing of the group.
        let zombie = try #require(old as? KafkaSubscription)
        let stale = try StaleMember(of: zombie)
        await old.close()
        let new = try await log.subscribe(groupOptions(topic, group: group, member: "worker-1"))
        let taken = try await nextBatch(new)
        #expect(taken.records == batch.records)
        let code = try await stale.commit(batch, address: address)
        #expect([.unknownMember, .illegalGeneration].contains(code))
        try await new.commit(taken, producing: [])
        await new.close()
        await log.close()
    }

    @Test func aMemberThatIsBusyForTooLongLosesItsPartitionsAndComesBack() async throws {
        let settings = ["max.poll.interval.ms": "6000"]
        let (log, topic) = try await openLog(partitions: 2, settings: settings)
        let (_, output) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<20)
        let group = "group-\(UUID().uuidString)"
        let busy = try await log.subscribe(groupOptions(topic, group: group, member: "worker-0", session: .seconds(6)))
        let batch = try await nextBatch(busy)
        // The first works on its batch and asks for nothing; the second gets all partitions all the same. What this test does
        // between its questions may take longer than the first has, on a busy machine.
        let patient = try await PrivateKafka.shared().openLog(settings: ["max.poll.interval.ms": "300000"])
        let other = try await patient.subscribe(
            groupOptions(topic, group: group, member: "worker-1", session: .seconds(120))
        )
        let taken = try await drain(other, count: 20)
        #expect(Set(taken.map { text($0.value) }).count == 20)
        let error = await #expect(throws: StreamError.self) {
            try await busy.commit(batch, producing: [OutgoingRecord(topic: output, key: [1], value: bytes("late"))])
        }
        guard case .commitRefused = error else {
            Issue.record("\(String(describing: error)) is no refusal")
            return
        }
        #expect(try await replayed(log, TopicPartition(output, 0)).isEmpty)
        // Once it asks again it is told, and gets a share like anybody.
        var events: [SubscriptionEvent] = []
        async let goesOn = other.next()
        while events.count < 2, let event = try await busy.next() { events.append(event) }
        guard case .revoked(let lost, lost: true) = events.first, case .assigned(let back) = events.last else {
            Issue.record("\(events) is no loss and no return")
            return
        }
        #expect(Set(lost) == [TopicPartition(topic, 0), TopicPartition(topic, 1)] && back.count == 1)
        _ = try await goesOn
        await busy.close()
        await other.close()
        await patient.close()
        await log.close()
    }

    /// The same, but it asks now and then what is due: it keeps its partitions, commits, and reads on where it was.
    @Test func aMemberThatIsBusyForLongAndAsksWhatIsDueKeepsItsPartitions() async throws {
        let (log, topic) = try await openLog(partitions: 2, settings: ["max.poll.interval.ms": "20000"])
        let (_, output) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<20)
        var options = groupOptions(topic, group: "group-\(UUID().uuidString)", session: .seconds(20))
        options.maximumBatchCount = 3
        let busy = try await log.subscribe(options)
        let batch = try await nextBatch(busy)
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end {
            #expect(try await busy.eventBesideRecords() == nil)
            try await Task.sleep(for: .milliseconds(500))
        }
        try await busy.commit(batch, producing: [OutgoingRecord(topic: output, key: [1], value: bytes("in time"))])
        #expect(try await replayed(log, TopicPartition(output, 0)).map { text($0.value) } == ["in time"])
        let rest = try await drain(busy, count: 20 - batch.records.count)
        let values = (batch.records + rest).map { text($0.value) }
        #expect(values.count == 20 && Set(values).count == 20)
        await busy.close()
        await log.close()
    }

    @Test func aReaderThatNeverStartsGivesItsPartitionsOn() async throws {
        let (log, topic) = try await openLog(partitions: 2)
        func options(_ member: String) -> SubscriptionOptions {
            SubscriptionOptions(topics: [topic], membership: .groupWithOwnOffsets("own-\(topic)"), memberName: member)
        }
        let first = try await log.subscribe(options("writer-0"))
        guard case .assigned = try await first.next() else { return }
        let second = try await log.subscribe(options("writer-1"))
        async let given = first.next()
        guard case .revoked(let revoked, lost: false) = try await given else {
            Issue.record("nothing was given up")
            return
        }
        #expect(revoked.count == 1)
        async let rest = first.next()
        guard case .assigned(let taken) = try await second.next() else { return }
        #expect(taken == revoked)
        await first.close()
        let end = try await rest
        #expect(end == nil)
        await second.close()
        await log.close()
    }
}
