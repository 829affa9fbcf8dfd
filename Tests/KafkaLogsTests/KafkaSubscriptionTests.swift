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
struct KafkaSubscriptionTests {
    @Test func startsWhereTheReaderKnowsThatTheGroupIsPast() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let partition = TopicPartition(topic, 0)
        try await fill(log, topic, 0..<10)
        var options = groupOptions(topic, maximumBatchCount: 2)
        let first = try await log.subscribe(options)
        _ = try await drain(first, count: 6)
        await first.close()
        options.holdsNewPartitions = true
        for (floor, start) in [(Int64(8), "8"), (Int64(3), "6")] {
            let reader = try await log.subscribe(options)
            guard case .assigned([partition]) = try await reader.next() else {
                Issue.record("nothing was assigned")
                return
            }
            reader.resume([partition], notBefore: [partition: floor])
            #expect(text(try await nextBatch(reader).records.first?.value) == start)
            await reader.close()
        }
        await log.close()
    }

    /// The offset that the broker tells is of records that are gone; only what the reader knows itself helps.
    @Test(arguments: [true, false])
    func anOffsetThatIsGoneStopsTheReaderUnlessItKnowsBetter(holds: Bool) async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let partition = TopicPartition(topic, 0)
        try await fill(log, topic, 0..<10)
        var options = groupOptions(topic, maximumBatchCount: 2)
        let first = try await log.subscribe(options)
        _ = try await drain(first, count: 2)
        await first.close()
        try await RecordDeleter().delete(before: 6, in: partition, address: try await PrivateKafka.shared().address)
        options.holdsNewPartitions = holds
        let stopped = try await log.subscribe(options)
        await #expect(throws: StreamError.offsetGone(partition, committed: 2, low: 6)) {
            while let event = try await stopped.next() {
                if case .assigned = event { stopped.resume([partition]) }
            }
        }
        await stopped.close()
        guard holds else { return await log.close() }
        let reader = try await log.subscribe(options)
        _ = try await reader.next()
        reader.resume([partition], notBefore: [partition: 7])
        #expect(text(try await nextBatch(reader).records.first?.value) == "7")
        await reader.close()
        await log.close()
    }

    @Test func theTailHoldsWhatIsCommittedAndNothingElse() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let address = try await PrivateKafka.shared().address
        let partition = TopicPartition(topic, 0)
        let tail = TailReader()
        // The broker ends a transaction in its partitions only after it has said that it is committed.
        func appears(_ value: String) async throws {
            try await poll("\(value) is seen") {
                try await tail.sees(bytes(value), in: partition, address: address)
            }
        }
        #expect(try await !tail.sees(bytes("none"), in: partition, address: address))
        for (value, isCommit) in [("kept", true), ("dropped", false)] {
            let producer = try ForeignProducer(address: address)
            try await producer.beginAndSend([OutgoingRecord(topic: topic, key: [1], value: bytes(value))])
            if isCommit {
                try await producer.commit()
                try await appears(value)
            } else {
                try await producer.abort()
                #expect(try await !tail.sees(bytes(value), in: partition, address: address))
            }
        }
        let open = try ForeignProducer(address: address)
        try await open.beginAndSend([OutgoingRecord(topic: topic, key: [1], value: bytes("open"))])
        #expect(try await !tail.sees(bytes("open"), in: partition, address: address))
        try await appears("kept")
        try await open.commit()
        try await appears("open")
        #expect(try await !tail.sees(bytes("dropped"), in: partition, address: address))
        await log.close()
    }

    @Test func lagCountsNoControlRecords() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let (_, output) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<1)
        let first = try await log.subscribe(groupOptions(topic))
        let batch = try await nextBatch(first)
        try await first.commit(batch, producing: [OutgoingRecord(topic: output, key: nil, value: bytes("x"))])
        let group = "group-\(UUID().uuidString)"
        let before = try await log.lag(group: group, topic: output)
        #expect(before == 1)
        let second = try await log.subscribe(groupOptions(output, group: group))
        _ = try await drain(second, count: 1)
        let after = try await log.lag(group: group, topic: output)
        #expect(after == 0)
        await first.close()
        await second.close()
        await log.close()
    }

    /// What ends records that a crash of the broker left open is itself a record.
    @Test(arguments: [true, false])
    func recordsThatOnlyEndATransactionArePassedOver(isCommit: Bool) async throws {
        let (log, topic) = try await openLog(partitions: 2)
        let address = try await PrivateKafka.shared().address
        let partitions = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        try await ClearingProducer().endOpenRecords(in: partitions, committing: isCommit, address: address)
        for partition in partitions {
            #expect(try await log.watermarks(of: partition).high > 0)
            #expect(try await replayed(log, partition).isEmpty)
        }
        #expect(try await log.lag(group: "nobody", topic: topic) == 0)
        try await fill(log, topic, 0..<1)
        let reader = try await log.subscribe(groupOptions(topic))
        #expect(try await drain(reader, count: 1).map { text($0.value) } == ["0"])
        await reader.close()
        await log.close()
    }

    @Test func abortedOutputsAreNotSeen() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let foreign = try await ForeignProducer(address: PrivateKafka.shared().address)
        try await foreign.beginAndSend([OutgoingRecord(topic: topic, key: bytes("k"), value: bytes("aborted"))])
        try await foreign.abort()
        try await log.append([OutgoingRecord(topic: topic, key: bytes("k"), value: bytes("kept"))])
        let reader = try await log.subscribe(groupOptions(topic))
        let records = try await drain(reader, count: 1)
        #expect(records.map { text($0.value) } == ["kept"])
        await reader.close()
        await log.close()
    }

    @Test func aReaderWithOwnOffsetsStartsWhereItSays() async throws {
        let (log, topic) = try await openLog(partitions: 2)
        for partition in 0..<Int32(2) {
            try await log.append(
                (0..<4).map {
                    OutgoingRecord(topic: topic, partition: partition, key: nil, value: bytes("\(partition)/\($0)"))
                }
            )
        }
        let reader = try await log.subscribe(
            SubscriptionOptions(
                topics: [topic],
                membership: .groupWithOwnOffsets("group-\(UUID().uuidString)"),
                memberName: "writer-0"
            )
        )
        guard case .assigned(let partitions) = try await reader.next() else { return }
        #expect(partitions.count == 2)
        await #expect(
            throws: StreamError.offsetGone(TopicPartition(topic, 1), committed: -5, low: 0)
        ) { try await reader.start(at: [TopicPartition(topic, 1): -5]) }
        try await reader.start(at: [TopicPartition(topic, 1): 3])
        var values: Set<String> = []
        while values.count < 5 {
            let batch = try await nextBatch(reader)
            values.formUnion(batch.records.map { text($0.value) })
            try await reader.commit(batch, producing: [])
        }
        #expect(values == ["0/0", "0/1", "0/2", "0/3", "1/3"])
        await reader.close()
        await log.close()
    }

    @Test func aTailReadsAllPartitionsFromNowOn() async throws {
        let (log, topic) = try await openLog(partitions: 3)
        try await fill(log, topic, 0..<10)
        let recent = try await log.subscribe(
            SubscriptionOptions(topics: [topic], membership: .tail(since: .seconds(600)), memberName: "gateway-0")
        )
        let late = try await log.subscribe(
            SubscriptionOptions(topics: [topic], membership: .tail(since: .zero), memberName: "gateway-1")
        )
        guard case .assigned(let partitions) = try await late.next() else { return }
        #expect(partitions.count == 3)
        try await fill(log, topic, 10..<20)
        var seen: [String] = []
        while seen.count < 10 { seen += try await nextBatch(late).records.map { text($0.value) } }
        #expect(Set(seen) == Set((10..<20).map { "\($0)" }))
        var all: [String] = []
        while all.count < 20 { all += try await nextBatch(recent).records.map { text($0.value) } }
        #expect(Set(all) == Set((0..<20).map { "\($0)" }))
        await late.close()
        await recent.close()
        await log.close()
    }

    @Test func batchesAreBoundedAndInOrder() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        try await fill(log, topic, 0..<2_500)
        let reader = try await log.subscribe(groupOptions(topic, maximumBatchCount: 1_000))
        var records: [Record] = []
        while records.count < 2_500 {
            let batch = try await nextBatch(reader)
            #expect(batch.records.count <= 1_000)
            records += batch.records
        }
        #expect(records.map { text($0.value) } == (0..<2_500).map { "\($0)" })
        await reader.close()
        await log.close()
    }

    @Test func closingWakesAWaitingReader() async throws {
        let (log, topic) = try await openLog(partitions: 1)
        let reader = try await log.subscribe(groupOptions(topic))
        _ = try await reader.next()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { try await reader.next() == nil }
            await reader.close()
            let hasEnded = try await group.next()
            #expect(hasEnded == true)
        }
        await log.close()
    }

    @Test func refusesATopicThatDoesNotExist() async throws {
        let log = try await PrivateKafka.shared().openLog()
        await #expect(throws: StreamError.unknownTopic("no-such-topic")) {
            _ = try await log.subscribe(groupOptions("no-such-topic"))
        }
        await log.close()
    }
}
