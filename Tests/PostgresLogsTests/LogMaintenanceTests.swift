import Messages
import MessageLogs
import TestSupport
import Testing

@testable import PostgresClient
@testable import PostgresLogs

@Suite struct LogMaintenanceTests {
    private let partition = TopicPartition("t", 0)

    private func log(
        _ cleanup: TopicSpecification.Cleanup,
        tombstones: Duration = .seconds(3_600)
    ) async throws -> PostgresLog {
        // The log's own thread stays out of it.
        let settings = PostgresLogSettings(
            maintenanceInterval: .seconds(3_600),
            tombstoneRetention: tombstones,
            compactionThreshold: 1
        )
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase(), settings: settings)
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: cleanup)])
        return log
    }

    private func append(_ log: PostgresLog, _ records: [(key: String?, value: String?)]) async throws {
        try await log.append(
            records.map {
                OutgoingRecord(topic: "t", key: $0.key.map { Array($0.utf8) }, value: $0.value.map { Array($0.utf8) })
            }
        )
    }

    private func values(_ log: PostgresLog) async throws -> [String] {
        let values = Values()
        try await log.replay(partition) { records in
            await values.add(
                records.map { "\($0.offset):" + ($0.value.map { String(decoding: $0, as: UTF8.self) } ?? "-") }
            )
        }
        return await values.all
    }

    @Test func compactionKeepsTheNewestOfEachKey() async throws {
        let log = try await log(.compact)
        try await append(log, [("a", "a1"), ("b", "b1"), ("a", "a2"), (nil, "no key"), ("c", "c1"), ("c", nil)])
        #expect(try await log.maintain())
        #expect(try await values(log) == ["1:b1", "2:a2", "3:no key", "5:-"])
        // Half as many new records as there are old ones are worth another pass, fewer are not.
        try await append(log, [("a", "a3")])
        try await log.maintain()
        #expect(try await values(log) == ["1:b1", "2:a2", "3:no key", "5:-", "6:a3"])
        try await append(log, [("a", "a4")])
        try await log.maintain()
        #expect(try await values(log) == ["1:b1", "3:no key", "5:-", "7:a4"])
        #expect(try await log.watermarks(of: partition) == (0, 8))

        // A group that starts now reads what is left.
        let reader = try await log.subscribe(.init(topics: ["t"], membership: .group("g"), memberName: "m"))
        var offsets: [Int64] = []
        while offsets.count < 4, let event = try await reader.next() {
            guard case .batch(let batch) = event else { continue }
            offsets += batch.records.map(\.offset)
            try await reader.commit(batch, producing: [])
        }
        #expect(offsets == [1, 3, 5, 7])
        #expect(try await log.lag(group: "g", topic: "t") == 0)
        await log.close()
    }

    @Test func oldDeletionsGo() async throws {
        let log = try await log(.compact, tombstones: .zero)
        try await append(log, [("a", "a1"), ("a", nil), ("b", "b1")])
        // A deletion must be older than its retention, by the server's clock.
        while try await values(log) != ["2:b1"] {
            try await log.maintain()
            _ = try await log.reader.query(
                "UPDATE userllm_log.partitions SET compacted_offset = 0",
                operation: "cleaning from the start again"
            )
        }
        #expect(try await log.lag(group: "late", topic: "t") == 3)
        await log.close()
    }

    @Test(arguments: [6, 10])
    func aReaderThatFallsBehindRetentionIsTold(removed: Int) async throws {
        let log = try await log(.delete(after: .seconds(3_600)))
        try await append(log, (0..<10).map { ("k", "\($0)") })
        let reader = try await log.subscribe(
            .init(topics: ["t"], membership: .group("g"), maximumBatchCount: 3, linger: .zero, memberName: "m")
        )
        while let event = try await reader.next() {
            guard case .batch(let batch) = event else { continue }
            #expect(batch.records.map(\.offset) == [0, 1, 2])
            break
        }
        // It is at 3 and goes on reading.
        _ = try await log.reader.query(
            "UPDATE userllm_log.records SET appended_at = appended_at - 7200000 WHERE record_offset < $1",
            [.int8(Int64(removed))],
            operation: "making records old"
        )
        try await log.maintain()
        let error = await #expect(throws: StreamError.self) { while try await reader.next() != nil {} }
        #expect(error == .offsetGone(partition, committed: 3, low: Int64(removed)))
        await reader.close()
        await log.close()
    }

    @Test func retentionMovesTheLowWatermark() async throws {
        let log = try await log(.delete(after: .seconds(3_600)))
        try await append(log, (0..<10).map { ("k", "\($0)") })
        let reader = try await log.subscribe(
            .init(topics: ["t"], membership: .group("g"), maximumBatchCount: 3, memberName: "m")
        )
        while let event = try await reader.next() {
            guard case .batch(let batch) = event else { continue }
            try await reader.commit(batch, producing: [])
            break
        }
        await reader.close()

        try await log.maintain()
        #expect(try await log.watermarks(of: partition) == (0, 10))
        _ = try await log.reader.query(
            "UPDATE userllm_log.records SET appended_at = appended_at - 7200000 WHERE record_offset < 6",
            operation: "making records old"
        )
        try await log.maintain()
        #expect(try await log.watermarks(of: partition) == (6, 10))
        #expect(try await values(log) == ["6:6", "7:7", "8:8", "9:9"])
        #expect(try await log.lag(group: "new", topic: "t") == 4)

        // The group was at 3: what it missed is named, not passed over.
        let late = try await log.subscribe(.init(topics: ["t"], membership: .group("g"), memberName: "m"))
        let error = await #expect(throws: StreamError.self) { while try await late.next() != nil {} }
        #expect(error == .offsetGone(partition, committed: 3, low: 6))
        await late.close()
        await log.close()
    }

    @Test func oneProcessCleansAtATime() async throws {
        let log = try await log(.compact)
        // Before there is anything to clean: the log's own thread does it too.
        let other = try PostgresConnection(log.address, PostgresSettings())
        _ = try await other.query("SELECT pg_advisory_lock($1)", [.int8(0x5553_4C4C_0002)], operation: "test")
        try await append(log, [("a", "a1"), ("a", "a2")])
        #expect(try await log.maintain() == false)
        #expect(try await values(log) == ["0:a1", "1:a2"])
        await other.close()
        while try await !log.maintain() {}
        #expect(try await values(log) == ["1:a2"])
        await log.close()
    }

    @Test func theThreadCleansByItself() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let settings = PostgresLogSettings(maintenanceInterval: .milliseconds(20), compactionThreshold: 1)
        let log = try await PostgresLog(address: address, settings: settings)
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: .compact)])
        try await append(log, [("a", "a1"), ("a", "a2")])
        try await withLimit("cleaning") {
            while try await values(log) != ["1:a2"] { try await Task.sleep(for: .milliseconds(10)) }
        }
        await log.close()
    }

    /// Nobody waits for it, and a log that is never cleaned fills the disk.
    @Test func aRoundThatFailsIsTold() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let (failures, continuation) = AsyncStream.makeStream(of: (reason: String, count: Int).self)
        let settings = PostgresLogSettings(maintenanceInterval: .milliseconds(20)) { reason, count in
            continuation.yield((reason, count))
        }
        let log = try await PostgresLog(address: address, settings: settings)
        try PrivatePostgres.shared().psql(address, "ALTER TABLE userllm_log.appends RENAME TO elsewhere")
        try await withLimit("failing") {
            var counts: [Int] = []
            for await failure in failures {
                #expect(failure.reason.contains("appends"))
                counts.append(failure.count)
                if counts.count == 2 { break }
            }
            #expect(counts == [1, 2])
        }
        // While the log's own thread has the lease, there is nothing to do and nothing fails.
        await #expect(throws: StreamError.self) { while try await !log.maintain() {} }
        await log.close()
    }

    @Test func newerSchemaIsRefused() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let log = try await PostgresLog(address: address)
        await log.close()
        try PrivatePostgres.shared().psql(address, "INSERT INTO userllm_log.schema_version VALUES (99)")
        let error = await #expect(throws: StreamError.self) { _ = try await PostgresLog(address: address) }
        guard case .configuration(let reason) = error else {
            throw LogConformance.Failure("\(String(describing: error))")
        }
        #expect(reason.contains("version 99"))
    }

    @Test func manyMayOpenAFreshDatabaseAtOnce() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    let log = try await PostgresLog(address: address)
                    try await log.createTopics(TopicSpecification.system(partitionCount: 3))
                    await log.close()
                }
            }
            try await group.waitForAll()
        }
    }
}

private actor Values {
    private(set) var all: [String] = []
    func add(_ more: [String]) { all += more }
}
