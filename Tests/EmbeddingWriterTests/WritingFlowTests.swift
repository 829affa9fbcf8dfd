import Foundation
import Bytes
import Messages
import PostgresClient
import PostgresLogs
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs
import TestSupport
import Testing
import Verification

@testable import EmbeddingWriter
@testable import UserModels

/// The flow on a real log and a real database.
@Suite(.serialized) struct WritingFlowTests {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    private struct Fixture {
        let address: String
        let log: PostgresLog
        let table: EmbeddingTable
        let metrics = MetricsRegistry()

        init() async throws {
            address = try PrivatePostgres.shared().makeDatabase()
            log = try await PostgresLog(address: address)
            try await log.createTopics(TopicSpecification.system(partitionCount: 2))
            table = try await EmbeddingTable(database: address)
            try await table.migrate()
        }

        var flow: WritingFlow {
            WritingFlow(
                log,
                SubscriptionOptions(
                    topics: [Topic.userEmbeddings.rawValue],
                    membership: .groupWithOwnOffsets(ConsumerGroup.embeddingWriter),
                    maximumBatchCount: 100,
                    memberName: "embedding-writer-test"
                ),
                table,
                shape: ModelBundle.ContextShape(version: "v1", rows: 1, columns: 2),
                metrics: EmbeddingWriterMetrics(metrics),
                health: EmbeddingWriterHealth(Health()),
                logger: Logger(label: "test", handler: Silent())
            )
        }

        func append(users: Range<Int>, count: UInt64) async throws {
            try await log.append(
                users.map { user in
                    OutgoingRecord(
                        topic: Topic.userEmbeddings.rawValue,
                        key: Array("u\(user)".utf8),
                        value: try EmbeddingBatchTests.embedding("u\(user)", count: count).encoded()
                    )
                }
            )
        }

        func rows() async throws -> Int { try await table.modelVersions().first?.rows ?? 0 }

        /// How many rows know this many events.
        func rows(knowing count: Int) throws -> Int {
            let sql = "SELECT count(*) FROM user_embeddings WHERE event_count = \(count)"
            let text = try PrivatePostgres.shared().psql(address, sql)
            return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
        }

        func rejected() async throws -> [Record] {
            let collector = Collector()
            try await log.replay(TopicPartition(Topic.userEmbeddings.rejected, 0)) { await collector.take($0) }
            return await collector.records
        }

        func close() async {
            await table.close()
            await log.close()
        }
    }

    private func whileRunning(
        _ fixture: Fixture,
        _ body: () async throws -> Void
    ) async throws {
        let shutdown = Shutdown()
        async let running: Void = fixture.flow.run(until: shutdown)
        do {
            try await body()
        } catch {
            shutdown.request()
            try await running
            throw error
        }
        shutdown.request()
        try await running
    }

    @Test func aRowThatTheDatabaseRefusesIsRejectedAlone() async throws {
        let fixture = try await Fixture()
        try PrivatePostgres.shared().psql(
            fixture.address,
            "ALTER TABLE user_embeddings ADD CONSTRAINT no_unlucky_user CHECK (user_id <> 'u13')"
        )
        try await fixture.append(users: 0..<60, count: 1)
        try await whileRunning(fixture) {
            try await poll("59 rows are written") { try await fixture.rows() == 59 }
            // What comes after the bad row goes on.
            try await fixture.append(users: 0..<13, count: 2)
            try await poll("13 rows are newer") { try fixture.rows(knowing: 2) == 13 }
        }
        let collector = Collector()
        for partition in 0..<(try await fixture.log.partitionCount(of: Topic.userEmbeddings.rejected) ?? 0) {
            try await fixture.log.replay(TopicPartition(Topic.userEmbeddings.rejected, partition)) {
                await collector.take($0)
            }
        }
        let rejected = await collector.records
        #expect(rejected.map(\.key) == [Array("u13".utf8)])
        #expect(Rejection(headersOf: rejected[0])?.reason.contains("no_unlucky_user") == true)
        await fixture.close()
    }

    /// Whoever may write to the topic may have written them; a row of the model in use stays as it is.
    @Test func embeddingsThatCannotBeAreRejectedAndTheRowsGoOn() async throws {
        let fixture = try await Fixture()
        try await fixture.append(users: 0..<4, count: 1)
        var shape = EmbeddingBatchTests.embedding("u0", count: 2)
        (shape.columns, shape.context) = (4, [1, 2, 3, 4])
        var endless = EmbeddingBatchTests.embedding("u1", count: 2)
        endless.eventCount = UInt64(Int64.max)
        var nowhere = EmbeddingBatchTests.embedding("u2", count: 2)
        nowhere.sourcePartition = 7
        let bad = [shape, endless, nowhere]
        try await fixture.log.append(
            try bad.map {
                let key = Array($0.user.utf8)
                return OutgoingRecord(topic: Topic.userEmbeddings.rawValue, key: key, value: try $0.encoded())
            }
        )
        try await fixture.append(users: 0..<4, count: 3)
        try await whileRunning(fixture) {
            try await poll("4 rows are newer") { try fixture.rows(knowing: 3) == 4 }
        }
        #expect(Set(try await fixture.rejected().compactMap(\.key)) == Set(bad.map { Array($0.user.utf8) }))
        await fixture.close()
    }

    /// What was read as poison is rejected before the stop, rows beside it are written, and a start goes on behind it.
    @Test func poisonStopsTheWriterOnceItIsRejected() async throws {
        let fixture = try await Fixture()
        try await fixture.append(users: 0..<5, count: 1)
        let bad = (0..<200).map {
            OutgoingRecord(topic: Topic.userEmbeddings.rawValue, key: Array("p\($0)".utf8), value: [0xff])
        }
        try await fixture.log.append(bad)
        try await fixture.append(users: 0..<5, count: 2)
        var stops = 0
        while try await fixture.rejected().count < 200 || fixture.rows(knowing: 2) < 5 {
            try #require(stops < 10, "a start made no progress")
            let (shutdown, ended) = (Shutdown(), Shutdown())
            async let watching: Void = {
                while try await fixture.rejected().count < 200 || fixture.rows(knowing: 2) < 5, !ended.isRequested {
                    try await Task.sleep(for: .milliseconds(50))
                }
                shutdown.request()
            }()
            do {
                try await fixture.flow.run(until: shutdown)
            } catch let failure as ProcessFailure {
                #expect(failure.exitCode == .badInput)
                stops += 1
            }
            ended.request()
            try await watching
        }
        let rejected = try await fixture.rejected()
        #expect(stops > 0 && rejected.count == 200 && Set(rejected.map(\.key)) == Set(bad.map(\.key)))
        await fixture.close()
    }

    @Test func aStolenPartitionFencesTheWriterWhichBeginsAnew() async throws {
        let fixture = try await Fixture()
        try await fixture.append(users: 0..<20, count: 1)
        try await whileRunning(fixture) {
            try await poll("20 rows are written") { try await fixture.rows() == 20 }
            let partitions = (0..<2).map { TopicPartition(Topic.userEmbeddings.rawValue, Int32($0)) }
            _ = try await fixture.table.claim(
                partitions: partitions,
                group: ConsumerGroup.embeddingWriter,
                owner: "another"
            )
            try await fixture.append(users: 0..<20, count: 2)
            try await poll("20 rows are newer") { try fixture.rows(knowing: 2) == 20 }
        }
        #expect(fixture.metrics.text.contains("userllm_embedding_writer_commits_refused_total 1"))
        await fixture.close()
    }

    @Test func connectionsThatBreakLoseNothing() async throws {
        let fixture = try await Fixture()
        let breakAll = """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        try await fixture.append(users: 0..<20, count: 1)
        try await whileRunning(fixture) {
            for round in 2...4 {
                try await fixture.append(users: 0..<(round * 10), count: UInt64(round))
                try PrivatePostgres.shared().psql(fixture.address, breakAll)
                try await poll("round \(round) is written") {
                    try fixture.rows(knowing: round) == round * 10
                }
            }
        }
        await fixture.close()
    }

    private actor Collector {
        private(set) var records: [Record] = []
        func take(_ some: [Record]) { records += some }
    }
}
