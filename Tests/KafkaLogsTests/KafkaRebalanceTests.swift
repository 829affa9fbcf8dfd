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
/// What both protocols of rebalances have in common.
struct KafkaRebalanceTests {
    @Test func theRangeStrategySharesPartitionsToo() async throws {
        let (log, topic) = try await openLog(
            partitions: 4,
            settings: ["partition.assignment.strategy": "range"]
        )
        try await fill(log, topic, 0..<100)
        let group = "group-\(UUID().uuidString)"
        let first = try await log.subscribe(groupOptions(topic, group: group, member: "worker-0"))
        let before = try await drain(first, count: 100)
        #expect(Set(before.map { text($0.value) }).count == 100)
        let second = try await log.subscribe(groupOptions(topic, group: group, member: "worker-1"))
        async let given = first.next()
        async let taken = second.next()
        guard case .revoked(let revoked, lost: false) = try await given else { return }
        #expect(revoked.count == 4)
        async let kept = first.next()
        guard case .assigned(let theirs) = try await taken, case .assigned(let ours) = try await kept else {
            Issue.record("no assignment after the rebalance")
            return
        }
        #expect(theirs.count == 2 && Set(theirs).union(ours).count == 4)
        try await fill(log, topic, 100..<200)
        async let one = drainToEnd(first, partitions: Set(ours), log: log, topic: topic, group: group)
        async let other = drainToEnd(second, partitions: Set(theirs), log: log, topic: topic, group: group)
        let values = try await (one + other).map { text($0.value) }
        #expect(values.count == 100 && Set(values) == Set((100..<200).map { "\($0)" }))
        await first.close()
        await second.close()
        await log.close()
    }

    /// Reads and commits until these partitions are read to their ends.
    private func drainToEnd(
        _ subscription: any Subscription,
        partitions: Set<TopicPartition>,
        log: KafkaLog,
        topic: String,
        group: String
    ) async throws -> [Record] {
        var left: [TopicPartition: Int64] = [:]
        let committed = try await log.committedOffsets(group: group, topic: topic)
        for partition in partitions {
            let high = try await log.watermarks(of: partition).high
            if high > committed[partition] ?? 0 { left[partition] = high }
        }
        var records: [Record] = []
        while !left.isEmpty {
            let batch = try await nextBatch(subscription)
            try await subscription.commit(batch, producing: [])
            records += batch.records
            for (partition, next) in batch.nextOffsets where next == left[partition] { left[partition] = nil }
        }
        return records
    }

    @Test(arguments: KafkaConfiguration.AssignmentStrategy.allCases)
    func aMemberThatNobodyClosedLeavesAllTheSame(strategy: KafkaConfiguration.AssignmentStrategy) async throws {
        let (log, topic) = try await openLog(partitions: 2, settings: settings(strategy))
        let group = "group-\(UUID().uuidString)"
        func abandonWithAnAssignmentOpen() async throws {
            let member = try await log.subscribe(
                groupOptions(topic, group: group, member: "worker-0", session: .seconds(900))
            )
            guard case .assigned = try await member.next() else { return }
        }
        try await abandonWithAnAssignmentOpen()
        let next = try await log.subscribe(groupOptions(topic, group: group, member: "worker-1"))
        let event = try await withLimit("the partitions", within: .seconds(300)) { try await next.next() }
        guard case .assigned(let partitions) = event else { return }
        #expect(partitions.count == 2)
        await next.close()
        await log.close()
    }

    /// One that is closed while it is told of a rebalance that it has not read leaves too, and its close ends.
    @Test(arguments: KafkaConfiguration.AssignmentStrategy.allCases)
    func aMemberIsClosedWithARebalanceUnread(strategy: KafkaConfiguration.AssignmentStrategy) async throws {
        var settings = settings(strategy)
        settings["heartbeat.interval.ms"] = "50"
        let (log, topic) = try await openLog(partitions: 2, settings: settings)
        let group = "group-\(UUID().uuidString)"
        var member = try await log.subscribe(groupOptions(topic, group: group, member: "worker-0"))
        guard case .assigned = try await member.next() else { return }
        for number in 1...10 {
            let next = try await log.subscribe(groupOptions(topic, group: group, member: "worker-\(number)"))
            async let event = withLimit("the partitions", within: .seconds(300)) {
                var taken: Set<TopicPartition> = []
                while taken.count < 2, case .assigned(let partitions) = try await next.next() {
                    taken.formUnion(partitions)
                }
                return taken
            }
            // Several heartbeats, of which one brings the news.
            try await Task.sleep(for: .milliseconds(50 * number))
            let leaving = member
            try await withLimit("the close", within: .seconds(300)) { await leaving.close() }
            #expect(try await event.count == 2)
            member = next
        }
        await member.close()
        await log.close()
    }

    /// Each member answers what it is given, also nothing, or the group waits for it at the next rebalance.
    @Test(arguments: KafkaConfiguration.AssignmentStrategy.allCases)
    func aMemberWithoutAShareTakesPartInTheNextRebalance(strategy: KafkaConfiguration.AssignmentStrategy) async throws {
        let (log, topic) = try await openLog(partitions: 1, settings: settings(strategy))
        let group = "group-\(UUID().uuidString)"
        let first = try await log.subscribe(groupOptions(topic, group: group, member: "worker-0"))
        guard case .assigned = try await first.next() else { return }
        let second = try await log.subscribe(groupOptions(topic, group: group, member: "worker-1"))
        async let taken = withLimit("the other's rebalance", within: .seconds(300)) { try await second.next() }
        if strategy == .range {
            guard case .revoked = try await first.next(), case .assigned = try await first.next() else { return }
        }
        try await fill(log, topic, 0..<1)
        _ = try await nextBatch(first)
        await first.close()
        guard case .assigned = try await taken else {
            Issue.record("the second got nothing")
            return
        }
        await second.close()
        await log.close()
    }

    @Test(arguments: KafkaConfiguration.AssignmentStrategy.allCases)
    func aMemberThatHoldsItsPartitionsTakesPartInTheNextRebalance(
        strategy: KafkaConfiguration.AssignmentStrategy
    ) async throws {
        let (log, topic) = try await openLog(partitions: 2, settings: settings(strategy))
        let group = "group-\(UUID().uuidString)"
        var options = groupOptions(topic, group: group, member: "worker-0")
        options.holdsNewPartitions = true
        let first = try await log.subscribe(options)
        guard case .assigned = try await first.next() else { return }
        let second = try await log.subscribe(groupOptions(topic, group: group, member: "worker-1"))
        async let taken = second.next()
        guard case .revoked = try await withLimit("the revocation", within: .seconds(300), { try await first.next() })
        else {
            Issue.record("nothing was given up")
            return
        }
        async let rest = first.next()
        guard case .assigned(let partitions) = try await taken else { return }
        #expect(partitions.count == 1)
        await first.close()
        _ = try await rest
        await second.close()
        await log.close()
    }

    /// A session or a rebalance that was waited for would take minutes.
    private func settings(_ strategy: KafkaConfiguration.AssignmentStrategy) -> [String: String] {
        ["partition.assignment.strategy": strategy.rawValue, "max.poll.interval.ms": "1000000"]
    }
}
