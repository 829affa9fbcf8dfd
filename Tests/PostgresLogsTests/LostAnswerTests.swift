import Bytes
import Messages
import PostgresLogs
import EmbeddingStore
import MessageLogs
import TestSupport
import Testing

/// The connection breaks after the server has committed and before it says so: the outcome is read back.
@Suite struct LostAnswerTests {
    private let marker = "the-answer-to-this-is-lost"

    /// The same database, straight and through a proxy that loses one answer.
    private func database() throws -> (straight: String, through: String, proxy: CuttingProxy) {
        let cluster = try PrivatePostgres.shared()
        let name = try cluster.makeDatabaseName()
        let proxy = try CuttingProxy(toSocket: cluster.socketPath, cuttingAfter: marker)
        return (cluster.address(name), cluster.address(name, port: Int(proxy.port)), proxy)
    }

    private func record(_ topic: String, _ value: String) -> OutgoingRecord {
        OutgoingRecord(topic: topic, key: [1], value: Array(value.utf8))
    }

    private func values(_ log: any MessageLog, _ topic: String) async throws -> [String] {
        let values = Texts()
        try await log.replay(TopicPartition(topic, 0)) { records in
            await values.add(records.map { String(decoding: $0.value ?? [], as: UTF8.self) })
        }
        return await values.all
    }

    @Test func appendIsNotRepeated() async throws {
        let (straight, through, proxy) = try database()
        let log = try await PostgresLog(address: straight)
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: .compact)])
        let cut = try await PostgresLog(address: through)
        try await cut.append([record("t", "before")])
        try await cut.append([record("t", marker)])
        try await cut.append([record("t", "after")])
        #expect(proxy.cutCount == 1)
        #expect(try await values(log, "t") == ["before", marker, "after"])
        await cut.close()
        await log.close()
        proxy.close()
    }

    @Test func commitIsNotRepeatedAndNotRefused() async throws {
        let (straight, through, proxy) = try database()
        let log = try await PostgresLog(address: straight)
        let topics = ["in", "out"].map { TopicSpecification(name: $0, partitionCount: 1, cleanup: .compact) }
        try await log.createTopics(topics)
        try await log.append((0..<4).map { record("in", "\($0)") })
        let cut = try await PostgresLog(address: through)
        let reader = try await cut.subscribe(
            .init(topics: ["in"], membership: .group("g"), maximumBatchCount: 1, memberName: "m")
        )
        try await withLimit("reading", onTimeout: { await cut.close() }) {
            var read: [String] = []
            while read.count < 4 {
                guard case .batch(let batch) = try await reader.next() else { continue }
                read += batch.records.map { String(decoding: $0.value ?? [], as: UTF8.self) }
                let output = record("out", read.count == 2 ? marker : "\(read.count)")
                try await reader.commit(batch, producing: [output])
            }
            #expect(read == ["0", "1", "2", "3"])
        }
        #expect(proxy.cutCount == 1)
        #expect(try await values(log, "out") == ["1", marker, "3", "4"])
        #expect(try await log.lag(group: "g", topic: "in") == 0)
        await reader.close()
        await cut.close()
        await log.close()
        proxy.close()
    }

    /// The commit takes effect, its answer is lost, and when the member asks the partition is somebody else's.
    @Test func commitThatTookEffectIsNotRefusedAlthoughThePartitionIsLost() async throws {
        let (straight, through, proxy) = try database()
        let log = try await PostgresLog(address: straight)
        let topics = ["in", "out"].map { TopicSpecification(name: $0, partitionCount: 1, cleanup: .compact) }
        try await log.createTopics(topics)
        try await log.append([record("in", "0")])
        try PrivatePostgres.shared().psql(
            straight,
            """
            CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.owner := NULL; NEW.epoch := NEW.epoch + 1; RETURN NEW; END';
            CREATE TRIGGER lose BEFORE UPDATE OF next_offset ON userllm_log.group_offsets
                FOR EACH ROW EXECUTE FUNCTION lose()
            """
        )
        let cut = try await PostgresLog(address: through)
        let reader = try await cut.subscribe(.init(topics: ["in"], membership: .group("g"), memberName: "m"))
        try await withLimit("the commit", onTimeout: { await cut.close() }) {
            while let event = try await reader.next() {
                guard case .batch(let batch) = event else { continue }
                try await reader.commit(batch, producing: [record("out", marker)])
                break
            }
        }
        #expect(proxy.cutCount == 1)
        #expect(try await values(log, "out") == [marker])
        #expect(try await log.lag(group: "g", topic: "in") == 0)
        await reader.close()
        await cut.close()
        await log.close()
        proxy.close()
    }

    @Test func writeOfRowsIsNotRepeatedAndNotRefused() async throws {
        let (_, through, proxy) = try database()
        let table = try await EmbeddingTable(database: through)
        try await table.migrate()
        let partition = TopicPartition("user-embeddings", 0)
        _ = try await table.claim(partitions: [partition], group: "w", owner: "a")
        for (number, user) in ["u1", UserID(marker), "u3"].enumerated() {
            let row = UserEmbedding(
                user: user,
                modelVersion: "v",
                generation: 0,
                eventCount: 1,
                sourcePartition: 0,
                sourceOffset: 0,
                appendedAt: 0,
                rows: 1,
                columns: 1,
                context: [1],
                pooled: [1]
            )
            let expected = number == 0 ? nil : Int64(number)
            let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [partition: (expected, Int64(number) + 1)]
            try await table.upsert([row], deletions: [], offsets: offsets, group: "w", owner: "a")
        }
        #expect(proxy.cutCount == 1)
        #expect(try await table.modelVersions().map(\.rows) == [3])
        #expect(try await table.claim(partitions: [partition], group: "w", owner: "a") == [partition: 3])
        await table.close()
        proxy.close()
    }
}

private actor Texts {
    private(set) var all: [String] = []
    func add(_ more: [String]) { all += more }
}
