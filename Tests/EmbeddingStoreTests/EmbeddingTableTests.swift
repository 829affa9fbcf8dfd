import Bytes
import Messages
import PostgresClient
import EmbeddingStore
import MessageLogs
import TestSupport
import Testing

@Suite struct EmbeddingTableTests {
    private let zero = TopicPartition("user-embeddings", 0)
    private let one = TopicPartition("user-embeddings", 1)

    private func table() async throws -> (EmbeddingTable, address: String) {
        let address = try PrivatePostgres.shared().makeDatabase()
        let table = try await EmbeddingTable(database: address)
        try await table.migrate()
        return (table, address)
    }

    private func row(_ user: UserID, _ count: UInt64, generation: UInt32 = 0, version: String = "v1") -> UserEmbedding {
        UserEmbedding(
            user: user,
            modelVersion: version,
            generation: generation,
            eventCount: count,
            sourcePartition: 3,
            sourceOffset: 77,
            appendedAt: 978_300_760_000,
            rows: 2,
            columns: 3,
            context: [Float(count), -0.5, 1e-30, .greatestFiniteMagnitude, -0, 0.1],
            pooled: [Float(count) / 3, -1],
            seenItems: SeenItems([0, UInt32(count), 70_000])
        )
    }

    @Test func rowsComeBackAsTheyWere() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        var empty = row("no pooled", 1)
        (empty.pooled, empty.seenItems) = ([], SeenItems())
        let rows = [row("grüße 'quoted'", 5), row("u2", 1), empty, row("u2", 1, version: "v2")]
        let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [zero: (nil, 4)]
        let written = try await table.upsert(rows, deletions: [], offsets: offsets, group: "w", owner: "a")
        #expect(written == 4)
        for row in rows { #expect(try await table.row(user: row.user, modelVersion: row.modelVersion) == row) }
        #expect(try await table.row(user: "nobody", modelVersion: "v1") == nil)
        let versions = try await table.modelVersions()
        #expect(versions.map(\.version) == ["v1", "v2"])
        #expect(versions.map(\.rows) == [3, 1])
        #expect(try await table.claim(partitions: [zero, one], group: "w", owner: "b") == [zero: 4])
        await table.close()
    }

    @Test func newestEventCountWins() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        var next: Int64 = 0
        func write(_ rows: [UserEmbedding]) async throws -> Int {
            defer { next += 1 }
            let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [zero: (next == 0 ? nil : next, next + 1)]
            return try await table.upsert(rows, deletions: [], offsets: offsets, group: "w", owner: "a")
        }
        #expect(try await write([row("u", 2), row("u", 7), row("u", 5)]) == 1)
        #expect(try await table.row(user: "u", modelVersion: "v1")?.eventCount == 7)
        #expect(try await write([row("u", 6), row("u", 7)]) == 0)
        #expect(try await table.row(user: "u", modelVersion: "v1") == row("u", 7))
        #expect(try await write([row("u", 1, generation: 1)]) == 1)
        #expect(try await table.row(user: "u", modelVersion: "v1") == row("u", 1, generation: 1))
        await table.close()
    }

    @Test func formerOwnersAndWrongOffsetsAreFenced() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero, one], group: "w", owner: "old")
        #expect(try await table.claim(partitions: [one], group: "w", owner: "new") == [:])
        let attempts: [(String, [TopicPartition: (expected: Int64?, next: Int64)])] = [
            ("old", [one: (nil, 1)]), ("old", [zero: (nil, 1), one: (nil, 1)]), ("new", [one: (5, 6)]),
            ("new", [zero: (nil, 1)]), ("new", [TopicPartition("never claimed", 0): (nil, 1)]),
        ]
        for (owner, offsets) in attempts {
            let error = await #expect(throws: PostgresError.self) {
                try await table.upsert([row("u", 1)], deletions: [], offsets: offsets, group: "w", owner: owner)
            }
            #expect(error?.kind == .fenced)
        }
        #expect(try await table.row(user: "u", modelVersion: "v1") == nil)
        let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [one: (nil, 1)]
        try await table.upsert([row("u", 1)], deletions: [], offsets: offsets, group: "w", owner: "new")
        #expect(try await table.claim(partitions: [zero, one], group: "w", owner: "c") == [one: 1])
        await table.close()
    }

    @Test func deletionTakesAllVersionsAndLetsTheCountStartAgain() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        var offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [zero: (nil, 1)]
        let rows = [row("u", 9), row("u", 9, version: "v2"), row("other", 1)]
        try await table.upsert(rows, deletions: [], offsets: offsets, group: "w", owner: "a")
        offsets = [zero: (1, 2)]
        try await table.upsert([row("u", 1)], deletions: ["u", "u", "x"], offsets: offsets, group: "w", owner: "a")
        #expect(try await table.row(user: "u", modelVersion: "v1") == row("u", 1))
        #expect(try await table.row(user: "u", modelVersion: "v2") == nil)
        #expect(try await table.row(user: "other", modelVersion: "v1") != nil)
        await table.close()
    }

    @Test func rowThatDoesNotFitIsADataErrorAndMovesNothing() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        var bad = row("bad", 1)
        bad.context.removeLast()
        let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [zero: (nil, 2)]
        let error = await #expect(throws: PostgresError.self) {
            try await table.upsert([row("good", 1), bad], deletions: [], offsets: offsets, group: "w", owner: "a")
        }
        #expect(error?.kind == .data)
        #expect(error?.description.contains("context_has_its_shape") == true)
        #expect(try await table.row(user: "good", modelVersion: "v1") == nil)
        #expect(try await table.claim(partitions: [zero], group: "w", owner: "a") == [:])
        await table.close()
    }

    @Test func allRowsComeOnce() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        let rows = (0..<1_201).map { row("u\($0)", UInt64($0 + 1)) } + [row("u0", 1, version: "other")]
        let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [zero: (nil, 1)]
        try await table.upsert(rows, deletions: [], offsets: offsets, group: "w", owner: "a")
        let found = Users()
        try await table.allRows(modelVersion: "v1") { page in await found.add(page.map(\.user)) }
        #expect(await found.users.count == 1_201)
        #expect(await Set(found.users) == Set((0..<1_201).map { UserID("u\($0)") }))
        await table.close()
    }

    @Test func migrationsMayRunAtOnce() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    let table = try await EmbeddingTable(database: address)
                    try await table.migrate()
                    try await table.verify()
                    await table.close()
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func missingAndNewerTablesAreNamed() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let table = try await EmbeddingTable(database: address)
        let missing = await #expect(throws: PostgresError.self) { try await table.verify() }
        #expect(missing?.kind == .configuration)
        let unread = await #expect(throws: PostgresError.self) { try await table.row(user: "u", modelVersion: "v") }
        #expect(unread?.kind == .configuration)
        try await table.migrate()
        try PrivatePostgres.shared().psql(address, "INSERT INTO user_embeddings_version VALUES (99)")
        let newer = await #expect(throws: PostgresError.self) { try await table.migrate() }
        #expect(newer?.kind == .configuration)
        #expect(newer?.description.contains("version 99") == true)
        await table.close()
    }

    /// As a database has them that an earlier version made.
    @Test func rowsFromBeforeTheSeenItemsKnowNone() async throws {
        let (table, address) = try await table()
        try await table.upsert([row("old", 5)], deletions: [], offsets: [:], group: "w", owner: "a")
        try PrivatePostgres.shared().psql(
            address,
            """
            ALTER TABLE user_embeddings DROP COLUMN seen_items;
            DROP FUNCTION userllm_write_embeddings;
            CREATE FUNCTION userllm_write_embeddings(
                text, text, text[], int4[], int8[], int8[], text[], text[], text[], int4[], int8[], int4[], int8[], int8[],
                int4[], int4[], bytea[], float4[], int4[], int4[]) RETURNS int8 LANGUAGE sql AS 'SELECT 0::int8';
            DELETE FROM user_embeddings_version WHERE version > 3;
            """
        )
        let behind = await #expect(throws: PostgresError.self) { try await table.verify() }
        #expect(behind?.description.contains("version 3") == true)
        try await table.migrate()
        try await table.verify()
        var old = row("old", 5)
        old.seenItems = SeenItems()
        #expect(try await table.row(user: "old", modelVersion: "v1") == old)
        try await table.upsert([row("old", 6)], deletions: [], offsets: [:], group: "w", owner: "a")
        #expect(try await table.row(user: "old", modelVersion: "v1") == row("old", 6))
        await table.close()
    }

    @Test func seenItemsThatAreDamagedAreAnErrorOfThatRowAlone() async throws {
        let (table, address) = try await table()
        try await table.upsert([row("bad", 1), row("good", 1)], deletions: [], offsets: [:], group: "w", owner: "a")
        try PrivatePostgres.shared().psql(
            address,
            "UPDATE user_embeddings SET seen_items = '\\x0580' WHERE user_id = 'bad'"
        )
        let error = await #expect(throws: PostgresError.self) { try await table.row(user: "bad", modelVersion: "v1") }
        #expect(error?.kind == .data)
        #expect(error?.description.contains("seen_items: has a number at byte 1 that does not end") == true)
        #expect(try await table.row(user: "good", modelVersion: "v1") == row("good", 1))
        await table.close()
    }

    @Test func brokenConnectionsAreMadeAnew() async throws {
        let (table, address) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        try PrivatePostgres.shared().endConnections(address)
        let offsets: [TopicPartition: (expected: Int64?, next: Int64)] = [zero: (nil, 1)]
        let error = await #expect(throws: PostgresError.self) {
            try await table.upsert([row("u", 1)], deletions: [], offsets: offsets, group: "w", owner: "a")
        }
        #expect(error?.kind == .connection)
        try await table.upsert([row("u", 1)], deletions: [], offsets: offsets, group: "w", owner: "a")
        #expect(try await table.claim(partitions: [zero], group: "w", owner: "a") == [zero: 1])
        await table.close()
    }

    @Test func usersThatDifferInBytesAloneHaveRowsOfTheirOwn() async throws {
        let (table, _) = try await table()
        _ = try await table.claim(partitions: [zero], group: "w", owner: "a")
        let (composed, decomposed): (UserID, UserID) = ("jos\u{E9}", "jose\u{301}")
        let rows = EmbeddingRows([row(composed, 1), row(decomposed, 2)])
        #expect(rows.count == 2)
        _ = try await table.upsert(rows, deletions: [], offsets: [zero: (nil, 1)], group: "w", owner: "a")
        #expect(try await table.row(user: composed, modelVersion: "v1")?.eventCount == 1)
        #expect(try await table.row(user: decomposed, modelVersion: "v1")?.eventCount == 2)
        _ = try await table.upsert(
            EmbeddingRows([]),
            deletions: [composed],
            offsets: [zero: (1, 2)],
            group: "w",
            owner: "a"
        )
        #expect(try await table.row(user: composed, modelVersion: "v1") == nil)
        #expect(try await table.row(user: decomposed, modelVersion: "v1")?.eventCount == 2)
        await table.close()
    }
}

private actor Users {
    private(set) var users: [UserID] = []
    func add(_ more: [UserID]) { users += more }
}
