import CRdkafka
import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

/// What became of a commit whose answer did not come, where it says the offset of the one before again.
@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .timeLimit(.minutes(15))
)
struct RestatedOffsetTests {
    private let silence = KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: "commit transaction")

    @Test func theMetadataTellsTheCommitFromTheOneBefore() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let (_, output) = try await openLog(partitions: 1)
        try await log.append((0..<5).map { OutgoingRecord(topic: topic, key: bytes("k"), value: bytes("\($0)")) })
        let partition = TopicPartition(topic, 0)
        var options = groupOptions(topic)
        options.outputTopics = [output]
        let reader = try #require(try await log.subscribe(options) as? KafkaSubscription)
        _ = try await nextBatch(reader)
        func commit(_ value: String) async throws -> String {
            let record = OutgoingRecord(topic: output, key: bytes("k"), value: bytes(value))
            try await reader.commit([partition: 2], producing: [record])
            return try #require(try await reader.committedOffsets(of: [partition])[partition]?.metadata)
        }
        let first = try await commit("a")
        let second = try await commit("b")
        #expect(first != second)
        try await reader.resolve(pendingCommit([partition: 2], second), because: silence)
        // The one before is not the last any more, and one that never was is not there.
        for metadata in [first, "never"] {
            await #expect(throws: StreamError.commitRefused(silence.description)) {
                try await reader.resolve(pendingCommit([partition: 2], metadata), because: silence)
            }
        }
        #expect(try await replayed(log, TopicPartition(output, 0)).map { text($0.value) } == ["a", "b"])
        await reader.close()
        await log.close()
    }
}
