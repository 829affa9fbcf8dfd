import CRdkafka
import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs
@testable import Verification

@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .inTurns,
    .timeLimit(.minutes(15))
)
struct KafkaCommitTests {
    @Test func commitsOffsetsAndOutputsTogether() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let (_, output) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<10)
        let options = groupOptions(topic)
        let reader = try await log.subscribe(options)
        let batch = try await nextBatch(reader)
        #expect(batch.records.count == 10)
        try await reader.commit(
            batch,
            producing: batch.records.map { OutgoingRecord(topic: output, key: $0.key, value: $0.value) }
        )
        let outputs = try await replayed(log, TopicPartition(output, 0))
        #expect(outputs.map(\.value) == batch.records.map(\.value))
        guard case .group(let group) = options.membership else { return }
        let committed = try await log.committedOffsets(group: group, topic: topic)
        #expect(committed == [TopicPartition(topic, 0): 10])
        let lag = try await log.lag(group: group, topic: topic)
        #expect(lag == 0)
        await reader.close()
        let end = try await reader.next()
        #expect(end == nil)

        try await fill(log, topic, 10..<12)
        let lagBehind = try await log.lag(group: group, topic: topic)
        #expect(lagBehind == 2)
        let second = try await log.subscribe(options)
        let rest = try await drain(second, count: 2)
        #expect(rest.map { text($0.value) } == ["10", "11"])
        await second.close()
        await log.close()
    }

    @Test func aRefusedCommitLeavesNothingAndGivesTheBatchAgain() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let (_, output) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<3)
        let reader = try await log.subscribe(groupOptions(topic))
        let batch = try await nextBatch(reader)
        await #expect(throws: StreamError.unknownTopic("no-such-topic")) {
            try await reader.commit(
                batch,
                producing: [
                    OutgoingRecord(topic: output, key: nil, value: bytes("x")),
                    OutgoingRecord(topic: "no-such-topic", key: nil, value: bytes("x")),
                ]
            )
        }
        let partition = TopicPartition(topic, 0)
        guard case .revoked([partition], lost: true) = try await reader.next() else {
            Issue.record("no revocation after a commit that failed")
            return
        }
        guard case .assigned([partition]) = try await reader.next() else {
            Issue.record("no assignment after the revocation")
            return
        }
        let again = try await nextBatch(reader)
        #expect(again.records == batch.records)
        try await reader.commit(again, producing: [])
        let outputs = try await replayed(log, TopicPartition(output, 0))
        #expect(outputs.isEmpty)
        await reader.close()
        await log.close()
    }

    @Test func readsBackWhetherACommitWithoutAnAnswerHappened() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<5)
        let partition = TopicPartition(topic, 0)
        let reader = try #require(try await log.subscribe(groupOptions(topic)) as? KafkaSubscription)
        let batch = try await nextBatch(reader)
        try await reader.commit(batch, producing: [])
        let metadata = try #require(try await reader.committedOffsets(of: [partition])[partition]?.metadata)
        let silence = KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: "commit transaction")
        // The same offset counts only with the metadata of this very transaction.
        try await reader.resolve(pendingCommit(batch.nextOffsets, metadata), because: silence)
        await #expect(throws: StreamError.commitRefused(silence.description)) {
            try await reader.resolve(pendingCommit(batch.nextOffsets, "another"), because: silence)
        }
        await reader.close()
        await log.close()
    }

    /// What Kafka 4.3.1 does when it is killed in the middle of a commit cannot be brought about at will; BrokerCrashTests
    /// comes across it by trying often.
    @Test func aCommitThatTheBrokerLostIsDoneAgain() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let (_, output) = try await openLog(partitions: 3)
        try await fill(log, topic, 0..<5)
        let partition = TopicPartition(topic, 0)
        var options = groupOptions(topic, maximumBatchCount: 2)
        options.outputTopics = [output]
        let reader = try #require(try await log.subscribe(options) as? KafkaSubscription)
        func copies(_ batch: Batch) -> [OutgoingRecord] {
            batch.records.map { OutgoingRecord(topic: output, key: $0.key, value: $0.value) }
        }
        let first = try await nextBatch(reader)
        try await reader.commit(first, producing: copies(first))
        // A connection was lost, and the commit is still there: all goes on.
        await reader.doubtLastCommit()
        let second = try await nextBatch(reader)
        #expect(second.records.map(\.offset) == [2, 3])
        try await reader.commit(second, producing: copies(second))
        let third = try await nextBatch(reader)
        // Now what is there is not what the member thinks to have committed.
        await reader.doubtLastCommit(instead: "one that was lost")
        await #expect(throws: StreamError.self) { try await reader.commit(third, producing: copies(third)) }
        guard case .revoked([partition], lost: true) = try await reader.next() else {
            Issue.record("no revocation after a commit that was lost")
            return
        }
        guard case .assigned([partition]) = try await reader.next() else {
            Issue.record("no assignment after the revocation")
            return
        }
        let again = try await nextBatch(reader)
        #expect(again.records == third.records)
        try await reader.commit(again, producing: copies(again))
        // Clearing up left nothing that anybody sees.
        var found: [String] = []
        for number: Int32 in 0..<3 {
            found += try await replayed(log, TopicPartition(output, number)).map { text($0.value) }
        }
        #expect(found.sorted() == ["0", "1", "2", "3", "4"])
        #expect(try await log.lag(group: "nobody", topic: output) == 5)
        await reader.close()
        await log.close()
    }

    /// The check of fault runs: a commit that goes back is found.
    @Test func theHistoryOfOffsetsShowsOneThatWentBack() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<4)
        let group = "group-\(UUID().uuidString)"
        let folder = try await PrivateKafka.shared().topicFolder
        // The broker makes the topic with the first group.
        #expect(try await log.committedOffsets(group: group, topic: topic).isEmpty)
        #expect(try OffsetsHistory.problems(in: folder, groups: [group]).count == 1)
        let reader = try await log.subscribe(groupOptions(topic, group: group, maximumBatchCount: 2))
        let first = try await nextBatch(reader)
        try await reader.commit(first, producing: [])
        try await reader.commit(try await nextBatch(reader), producing: [])
        #expect(try OffsetsHistory.problems(in: folder, groups: [group]) == [])
        try await reader.commit(first, producing: [])
        // A broker that says that it forgot offsets is to blame only where the group's offsets lie.
        #expect(OffsetsHistory.partition(of: "encoder-worker", count: 8) == 7)
        #expect(OffsetsHistory.partition(of: "llm-responder", count: 8) == 6)
        // One that nobody ends holds readers of committed records back from here on, and aborted ones do not count.
        let other = TopicPartition(topic, 0)
        let address = try await PrivateKafka.shared().address
        let aborted = try ForeignProducer(address: address)
        try await aborted.beginAndCommit([other: 1], group: group)
        try await aborted.abort()
        let open = try ForeignProducer(address: address)
        try await open.beginAndCommit([other: 0], group: group)
        try await fill(log, topic, 4..<5)
        try await reader.commit(try await nextBatch(reader), producing: [])
        try await reader.commit(first, producing: [])
        // The broker writes what ends a transaction a little after it has said that it is committed.
        let back = [4, 5].map { "the offset of \(group) at \(TopicPartition(topic, 0)) went from \($0) back to 2" }
        try await poll("both that went back are found") {
            try OffsetsHistory.problems(in: folder, groups: [group]) == back
        }
        try await open.abort()
        await reader.close()
        await log.close()
    }
}
