import Bytes
import Messages
import PostgresClient
import EmbeddingStore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(15))) struct EmbeddingWatchTests {
    private func write(_ user: String, _ count: UInt64, _ table: EmbeddingTable, version: String = "v1") async throws {
        let row = UserEmbedding(
            user: UserID(user),
            modelVersion: version,
            generation: 0,
            eventCount: count,
            sourcePartition: 0,
            sourceOffset: 0,
            appendedAt: 0,
            rows: 1,
            columns: 1,
            context: [1],
            pooled: [1]
        )
        try await table.upsert([row], deletions: [], offsets: [:], group: "w", owner: "a")
    }

    private func counts(_ watch: EmbeddingWatch, _ users: [UserID], version: String = "v1") async throws -> [String] {
        try await watch.eventCounts(of: users, modelVersion: version).map { "\($0.user) \($0.eventCount)" }.sorted()
    }

    @Test func changesAreTold() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let table = try await EmbeddingTable(database: address)
        try await table.migrate()
        let watch = try EmbeddingWatch(database: address)
        try await write("ann", 3, table)
        // What was before is looked at once.
        #expect(try await watch.change(atMost: .seconds(600)))
        #expect(try await counts(watch, ["ann", "bob"]) == ["ann 3"])
        #expect(try await !watch.change(atMost: .zero))
        try await write("bob", 1, table)
        try await write("ann", 4, table)
        #expect(try await watch.change(atMost: .seconds(600)))
        #expect(try await counts(watch, ["ann", "bob"]) == ["ann 4", "bob 1"])
        #expect(try await counts(watch, ["ann"], version: "v2").isEmpty)
        #expect(try await counts(watch, []).isEmpty)
        // A wake ends a wait.
        while try await watch.change(atMost: .zero) {}
        watch.wake()
        #expect(try await !watch.change(atMost: .seconds(600)))
        await watch.rest()
        await table.close()
    }

    /// Writers wait for nobody, and tell nobody while nobody listens.
    @Test func nobodyIsToldWhileNobodyWatches() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let table = try await EmbeddingTable(database: address)
        try await table.migrate()
        let listener = try PostgresConnection(address: address)
        let watch = try EmbeddingWatch(database: address)
        func locks() async throws -> Int64 {
            try await listener.query(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND database = "
                    + "(SELECT oid FROM pg_database WHERE datname = current_database())",
                operation: "test"
            ).int8(0, 0)
        }
        #expect(try await watch.change(atMost: .zero))
        #expect(try await locks() == 1)
        await watch.rest()
        while try await locks() != 0 { try await Task.sleep(for: .milliseconds(10)) }
        try await write("ann", 1, table)
        // It looks again when it comes back, for it may have missed something.
        #expect(try await watch.change(atMost: .seconds(600)))
        #expect(try await counts(watch, ["ann"]) == ["ann 1"])
        await watch.rest()
        await listener.close()
        await table.close()
    }

    @Test func aServerThatWasAwayIsWatchedAgain() async throws {
        let cluster = try PrivatePostgres.own()
        let address = try cluster.makeDatabase()
        let table = try await EmbeddingTable(database: address)
        try await table.migrate()
        let watch = try EmbeddingWatch(database: address)
        #expect(try await watch.change(atMost: .zero))
        try await cluster.restart {
            await #expect(throws: PostgresError.self) {
                while true { _ = try await watch.change(atMost: .milliseconds(10)) }
            }
        }
        #expect(try await watch.change(atMost: .seconds(600)))
        await table.close()
        try await EmbeddingTable(database: address).close()
        await watch.rest()
    }
}
