import CRdkafka
import MessageLogs
import Testing

@testable import KafkaLogs

/// A partition whose leader moves while a producer sends its first records there.
@Suite(.timeLimit(.minutes(2))) struct ImplicitAcknowledgementTests {
    /// A broker takes any sequence number from a producer that it does not know yet.
    ///
    /// So a later request may be accepted although the one before was refused, and librdkafka concludes that the earlier
    /// records have arrived too (confluentinc/confluent-kafka-go#921): whoever appended them was told that they were
    /// durable, and they were lost.
    @Test func aRequestThatWasRefusedIsNotTakenForDone() async throws {
        let cluster = try MockedCluster(brokers: 1)
        let log = try await KafkaLog(address: cluster.address)
        // Of several producers one would have too few records to lose any.
        let producer = KafkaProducer(try KafkaConfiguration(address: cluster.address), clientName: "producer")
        func append(_ value: String, to partition: Int32) async throws {
            try await producer.append([
                OutgoingRecord(topic: "events", partition: partition, key: nil, value: Array(value.utf8))
            ])
        }
        // Later requests find the producer open, and its leaders known.
        try await append("before", to: 1)
        cluster.refuseAppends(with: [RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION])
        cluster.delay(1, by: 300)
        let values = (0..<5).map { "\($0)" }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for value in values {
                group.addTask { try await append(value, to: 0) }
                // Long enough that it has a request of its own, and less than an answer takes. On a machine so busy that they
                // share one, nothing is lost whatever the setting: then this shows less, and does not fail.
                try await Task.sleep(for: .milliseconds(50))
            }
            try await group.waitForAll()
        }
        cluster.delay(1, by: 0)
        #expect(try await replayed(log, TopicPartition("events", 0)).map { text($0.value) } == values)
        await producer.close()
        await log.close()
    }

    /// Records may wait for their partition's leader; those of others pass.
    @Test func aPartitionThatIsAwayHoldsUpNoOther() async throws {
        let cluster = try MockedCluster(brokers: 2)
        cluster.lead(0, by: 1)
        cluster.lead(1, by: 2)
        let log = try await KafkaLog(address: cluster.address)
        @Sendable func append(_ value: String, to partition: Int32) async throws {
            try await log.append([
                OutgoingRecord(topic: "events", partition: partition, key: nil, value: Array(value.utf8))
            ])
        }
        try await append("before", to: 1)
        cluster.setDown(1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for value in ["a", "b", "c"] { group.addTask { try await append(value, to: 0) } }
            for value in 0..<10 { try await append("\(value)", to: 1) }
            cluster.setUp(1)
            try await group.waitForAll()
        }
        let away = try await replayed(log, TopicPartition("events", 0)).map { text($0.value) }
        #expect(away.sorted() == ["a", "b", "c"])
        let others = try await replayed(log, TopicPartition("events", 1)).map { text($0.value) }
        #expect(others == ["before"] + (0..<10).map { "\($0)" })
        await log.close()
    }

    /// Who waits for a leader waits no longer than an append may take, and holds up nobody later.
    @Test func whatWaitsForALeaderFailsInTimeAndIsTriedAgain() async throws {
        let cluster = try MockedCluster(brokers: 2)
        cluster.lead(0, by: 1)
        cluster.lead(1, by: 2)
        let log = try await KafkaLog(address: "\(cluster.address)?delivery.timeout.ms=2000")
        @Sendable func failure(of value: String, to partition: Int32) async -> StreamError? {
            do throws(StreamError) {
                try await log.append([
                    OutgoingRecord(topic: "events", partition: partition, key: nil, value: Array(value.utf8))
                ])
                return nil
            } catch {
                return error
            }
        }
        while await failure(of: "before", to: 1) != nil {}
        cluster.setDown(1)
        let failures = await withTaskGroup(of: StreamError?.self) { group in
            for value in ["a", "b", "c"] { group.addTask { await failure(of: value, to: 0) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for failure in failures {
            guard case .unavailable = failure else {
                Issue.record("\(failure as Any)")
                continue
            }
        }
        cluster.setUp(1)
        while await failure(of: "after", to: 0) != nil {}
        #expect(try await replayed(log, TopicPartition("events", 0)).map { text($0.value) }.last == "after")
        await log.close()
    }
}
