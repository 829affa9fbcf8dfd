import MessageLogs
import TestSupport
import Testing

@testable import PostgresClient
@testable import PostgresLogs

/// Databases that an older program made.
@Suite struct SchemaVersionTests {
    private func version(_ address: String) throws -> Int? {
        let text = try PrivatePostgres.shared().psql(address, "SELECT max(version) FROM userllm_log.schema_version")
        return Int(text.split(separator: "\n").first ?? "")
    }

    @Test func anOlderLogIsMigratedAndKeepsItsRecords() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let new = SchemaMigration.messageLog
        for count in 1..<new.steps.count {
            let old = SchemaMigration(
                name: new.name,
                schema: new.schema,
                versionTable: new.versionTable,
                lock: new.lock,
                steps: Array(new.steps.prefix(count))
            )
            let connection = try PostgresConnection(address: address)
            try await old.apply(connection)
            if count == 1 { try await connection.execute(Self.oldRecord, operation: "test") }
            let error = await #expect(throws: PostgresError.self) { try await new.verify(connection) }
            #expect(error?.description.contains("version \(count), this program needs \(new.steps.count)") == true)
            await connection.close()
            #expect(try version(address) == count)
        }
        let log = try await PostgresLog(address: address)
        #expect(try version(address) == new.steps.count)
        try await log.append([OutgoingRecord(topic: "t", key: [1], value: [8])])
        let subscription = try await log.subscribe(.init(topics: ["t"], membership: .group("g"), memberName: "m"))
        try await withLimit("the reader", onTimeout: { await log.close() }) {
            guard case .assigned = try await subscription.next(), case .batch(let batch) = try await subscription.next()
            else { throw LogConformance.Failure("no batch") }
            #expect(batch.records.map(\.value) == [[7], [8]])
            #expect(batch.records.map(\.offset) == [0, 1])
            try await subscription.commit(batch, producing: [])
        }
        await subscription.close()
        await log.close()
    }

    /// A topic with one record, as the first version had them.
    private static let oldRecord = """
        INSERT INTO userllm_log.topics (name, partition_count, retention_milliseconds) VALUES ('t', 1, NULL);
        INSERT INTO userllm_log.partitions (topic_id, partition, next_offset) SELECT id, 0, 1 FROM userllm_log.topics;
        INSERT INTO userllm_log.records (partition_id, record_offset, appended_at, key, value)
            SELECT id, 0, extract(epoch FROM clock_timestamp()) * 1000, '\\x01', '\\x07' FROM userllm_log.partitions
        """
}
