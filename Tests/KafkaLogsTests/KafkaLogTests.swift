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
struct KafkaLogTests {
    @Test func keepsKeysHeadersAndEmptyValuesApart() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let records = [
            OutgoingRecord(
                topic: topic,
                key: bytes("k"),
                value: bytes("v"),
                headers: [Header("a", "1"), Header("a", "")]
            ),
            OutgoingRecord(topic: topic, key: nil, value: []),
            OutgoingRecord(topic: topic, key: [], value: nil),
        ]
        for record in records { try await log.append([record]) }
        let found = try await replayed(log, TopicPartition(topic, 0))
        #expect(found.map(\.key) == records.map(\.key))
        #expect(found.map(\.value) == records.map(\.value))
        #expect(found.map(\.headers) == records.map(\.headers))
        #expect(found.map(\.offset) == [0, 1, 2])
        await log.close()
    }

    @Test func putsKeysWhereJavaClientsDo() async throws {
        let (log, topic) = try await openLog(partitions: 12)
        // Partitions of Java's Utils.toPositive(Utils.murmur2(key)) % 12; hashes from Kafka's own UtilsTest.
        let hashes: [(String, Int32)] = [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829), ("abc", 479_470_107),
        ]
        try await log.append(hashes.map { OutgoingRecord(topic: topic, key: bytes($0.0), value: []) })
        for (key, hash) in hashes {
            let partition = TopicPartition(topic, (hash & 0x7FFF_FFFF) % 12)
            let found = try await replayed(log, partition)
            #expect(found.contains { $0.key == bytes(key) }, "\(key) is not in \(partition)")
        }
        try await log.append([OutgoingRecord(topic: topic, partition: 7, key: bytes("abc"), value: bytes("7"))])
        let found = try await replayed(log, TopicPartition(topic, 7))
        #expect(found.last?.value == bytes("7"))
        await log.close()
    }

    @Test func namesWhatIsWrongWithAnAppend() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        await #expect(throws: StreamError.unknownTopic("no-such-topic")) {
            try await log.append([OutgoingRecord(topic: "no-such-topic", key: nil, value: [])])
        }
        await #expect(throws: StreamError.tooLarge(topic: topic, byteCount: 1_048_001, limit: 1_048_000)) {
            try await log.append([
                OutgoingRecord(topic: topic, key: bytes("small"), value: []),
                OutgoingRecord(topic: topic, key: nil, value: Array(repeating: 0, count: 1_048_001)),
            ])
        }
        let error = await #expect(throws: StreamError.self) {
            try await log.append([OutgoingRecord(topic: topic, partition: 5, key: nil, value: [])])
        }
        #expect("\(error as Any)".contains("no such partition"))
        let (low, high) = try await log.watermarks(of: TopicPartition(topic, 0))
        #expect(low == 0 && high == 0)
        await #expect(throws: StreamError.topicMismatch(topic: topic, expected: 3, found: 1)) {
            try await log.createTopics([TopicSpecification(name: topic, partitionCount: 3, cleanup: .compact)])
        }
        await log.close()
        await #expect(throws: StreamError.closed) {
            try await log.append([OutgoingRecord(topic: topic, key: nil, value: [])])
        }
    }

    @Test func answersManyCallersAtOnce() async throws {
        let (log, topic) = try await openLog(partitions: 4)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<200 {
                group.addTask {
                    for round in 0..<5 {
                        let record = OutgoingRecord(topic: topic, key: bytes("\(caller)"), value: bytes("\(round)"))
                        try await log.append([record])
                    }
                }
            }
            try await group.waitForAll()
        }
        var rounds: [String: [String]] = [:]
        for partition in 0..<Int32(4) {
            for record in try await replayed(log, TopicPartition(topic, partition)) {
                rounds[text(record.key), default: []].append(text(record.value))
            }
        }
        #expect(rounds.count == 200)
        #expect(rounds.values.allSatisfy { $0 == ["0", "1", "2", "3", "4"] })
        await log.close()
    }

    @Test func takesMoreThanItsQueueHolds() async throws {
        let (log, topic) = try await openLog(partitions: 2, settings: ["queue.buffering.max.messages": "100"])
        try await log.append((0..<5_000).map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: []) })
        let counts = try await [
            replayed(log, TopicPartition(topic, 0)).count, replayed(log, TopicPartition(topic, 1)).count,
        ]
        #expect(counts.reduce(0, +) == 5_000)
        await log.close()
    }

    @Test func replaysBehindAnOpenForeignTransactionOnlyWhenItIsResolved() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let partition = TopicPartition(topic, 0)
        let foreign = try await ForeignProducer(address: PrivateKafka.shared().address)
        try await foreign.beginAndSend([OutgoingRecord(topic: topic, key: bytes("open"), value: bytes("1"))])
        try await log.append([OutgoingRecord(topic: topic, key: bytes("behind"), value: bytes("2"))])
        try await withThrowingTaskGroup(of: [Record].self) { group in
            group.addTask { try await replayed(log, partition) }
            // The end is asked for before this commit or after it; in both cases nothing may be missing.
            try await foreign.commit()
            let found = try await group.next() ?? []
            #expect(found.map { text($0.key) } == ["open", "behind"])
        }
        await log.close()
    }

    @Test func aReplayThatAnOpenTransactionBlocksEndsWithAnError() async throws {
        let (log, topic) = try await openLog(partitions: 1, settings: ["replay.stall.timeout.ms": "1500"])
        let foreign = try await ForeignProducer(address: PrivateKafka.shared().address)
        try await foreign.beginAndSend([OutgoingRecord(topic: topic, key: bytes("open"), value: bytes("1"))])
        try await log.append([OutgoingRecord(topic: topic, key: bytes("behind"), value: bytes("2"))])
        let error = await #expect(throws: StreamError.self) {
            try await replayed(log, TopicPartition(topic, 0))
        }
        #expect("\(error as Any)".contains("open transaction"))
        #expect("\(error as Any)".contains("offset 0 of 2"))
        try await foreign.abort()
        let found = try await replayed(log, TopicPartition(topic, 0))
        #expect(found.map { text($0.key) } == ["behind"])
        await log.close()
    }

    @Test func replaysEmptyPartitionsAndTailsOfControlRecords() async throws {
        let (log, topic) = try await openLog(partitions: 2)
        let foreign = try await ForeignProducer(address: PrivateKafka.shared().address)
        try await foreign.beginAndSend([OutgoingRecord(topic: topic, partition: 0, key: bytes("k"), value: bytes("1"))])
        try await foreign.abort()
        let aborted = try await replayed(log, TopicPartition(topic, 0))
        #expect(aborted.isEmpty)
        let (_, high) = try await log.watermarks(of: TopicPartition(topic, 0))
        #expect(high == 2)
        let empty = try await replayed(log, TopicPartition(topic, 1))
        #expect(empty.isEmpty)
        let lag = try await log.lag(group: "nobody", topic: topic)
        #expect(lag == 0)
        await log.close()
    }
}
