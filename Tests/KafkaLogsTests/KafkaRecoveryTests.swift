import CRdkafka
import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

/// What a member learns about its group's offsets, and what it makes of silence.
@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .inTurns,
    .timeLimit(.minutes(15))
)
struct KafkaRecoveryTests {
    private let silence = KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: "commit transaction")

    /// librdkafka gives no answer in both cases: offsets that stay unstable, and a coordinator that is away.
    @Test func unstableOffsetsAreToldFromSilence() async throws {
        let broker = try await PrivateKafka.separate()
        let (log, topic) = try await openLog(partitions: 1, on: broker)
        try await fill(log, topic, 0..<5)
        let partition = TopicPartition(topic, 0)
        let group = "group-\(UUID().uuidString)"
        let reader = try #require(try await log.subscribe(groupOptions(topic, group: group)) as? KafkaSubscription)
        let batch = try await nextBatch(reader)
        try await reader.commit(batch, producing: [])
        let committed = try await reader.committedOffsets(of: [partition])
        #expect(committed[partition]?.offset == 5)
        #expect(try await reader.groupOffsets(of: [partition]) == .stable(committed))

        let foreign = try await ForeignProducer(address: broker.address)
        try await foreign.beginAndCommit([partition: 1], group: group)
        #expect(try await reader.groupOffsets(of: [partition]) == .pending(before: committed))
        // The member's own commit is there all the same.
        let metadata = try #require(committed[partition]?.metadata)
        try await reader.resolve(pendingCommit(batch.nextOffsets, metadata), because: silence)
        try await foreign.abort()
        #expect(try await reader.groupOffsets(of: [partition]) == .stable(committed))

        try await broker.kill()
        let error = await #expect(throws: StreamError.self) { try await reader.groupOffsets(of: [partition]) }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error)) for a broker that is away")
            return
        }
        await reader.close()
        await log.close()
        await broker.stop()
    }
}
