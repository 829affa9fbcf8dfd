import Failpoints
public import PostgresClient
public import Bytes
public import Messages
public import MessageLogs

/// The table `user_embeddings`: for each user and model version, what the model knows of the user.
///
/// Rows are written in one transaction with the offsets of the topic they came from, so a crash at any point neither
/// repeats nor loses anything. Of two rows of one user and version, the one with the greater (generation, event count)
/// wins.
public actor EmbeddingTable {
    private let address: PostgresAddress
    private let settings: PostgresSettings
    private let reader: PostgresConnection
    private let writer: PostgresConnection

    /// Connects; the table may still be missing.
    ///
    /// - Parameters:
    ///   - database: a `postgresql://` URL or a `key=value` text.
    ///   - settings: time limits and the name the server shows.
    /// - Throws: `PostgresError` when the address is wrong or the server cannot be reached.
    public init(
        database: String,
        settings: PostgresSettings = PostgresSettings()
    ) async throws(PostgresError) {
        address = try PostgresAddress(database)
        self.settings = settings
        reader = try PostgresConnection(address, settings)
        writer = try PostgresConnection(address, settings)
        try await reader.connect()
    }

    /// Creates the tables if they do not exist, and checks their version.
    ///
    /// - Throws: `PostgresError` of kind `.configuration` when a newer program made them.
    public func migrate() async throws(PostgresError) {
        try await SchemaMigration.embeddings.apply(reader)
        try await CheckedFunction.writeEmbeddings.prepare(reader)
    }

    /// Checks that the tables are there, in the version of this program.
    public func verify() async throws(PostgresError) {
        try await SchemaMigration.embeddings.verify(reader)
    }

    // MARK: - Writing

    /// Claims ownership of partitions: writes of their earlier owners are refused from now on.
    ///
    /// - Parameters:
    ///   - partitions: partitions of the topic the rows come from.
    ///   - group: the group of writers.
    ///   - owner: names this writer; a new one for each membership of the group.
    /// - Returns: the offset to resume from, for each partition that has one.
    /// - Throws: `PostgresError`; the same call may be tried again.
    public func claim(
        partitions: [TopicPartition],
        group: String,
        owner: String
    ) async throws(PostgresError) -> [TopicPartition: Int64] {
        let rows = try await writer.query(
            "SELECT topic, partition, next_offset FROM public.userllm_claim_partitions($1, $2, $3, $4)",
            [
                .text(group), .text(owner), .texts(partitions.map(\.topic)), .int4s(partitions.map(\.partition)),
            ],
            operation: "claiming the partitions of group \(group)"
        )
        var offsets: [TopicPartition: Int64] = [:]
        for row in 0..<rows.count {
            offsets[TopicPartition(rows.text(row, 0), rows.int4(row, 1))] = rows.optionalInt8(row, 2)
        }
        return offsets
    }

    /// Writes rows and deletions and moves the offsets, in one transaction.
    ///
    /// Deletions are applied before rows, so leave out rows that came before their user's deletion.
    /// - Parameters:
    ///   - rows: the rows.
    ///   - deletions: users whose rows of all versions are deleted.
    ///   - offsets: for each partition the stored offset (nil: none yet) and the one to store.
    ///   - group: the group of writers.
    ///   - owner: as given to `claim`.
    /// - Returns: how many rows were new or newer than what was stored.
    /// - Throws: `PostgresError`: `.fenced` when another owner claimed a partition or its offset is not the expected
    ///   one, `.data` when a row does not fit (halve the batch to find it), `.connection` and `.retry` when the same
    ///   call may be tried again.
    @discardableResult
    public func upsert(
        _ rows: EmbeddingRows,
        deletions: [UserID],
        offsets: [TopicPartition: (expected: Int64?, next: Int64)],
        group: String,
        owner: String
    ) async throws(PostgresError) -> Int {
        let moves = offsets.sorted { ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition) }
        let parameters: [PostgresValue] =
            [
                .text(group), .text(owner), .texts(moves.map(\.key.topic)), .int4s(moves.map(\.key.partition)),
                .int8s(moves.map(\.value.expected)), .int8s(moves.map(\.value.next)),
                .texts(Set(deletions).sorted().map(\.text)),
            ] + rows.parameters
        do throws(PostgresError) {
            let result = try await writer.query(
                """
                SELECT \(CheckedFunction.writeEmbeddings.qualifiedName)(
                    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
                """,
                parameters,
                operation: "writing \(rows.count) embeddings"
            )
            return Int(result.int8(0, 0))
        } catch {
            guard error.isOutcomeUnknown, try await tookEffect(offsets, group, owner, error) else { throw error }
            return rows.count
        }
    }

    /// Writes rows that were not prepared before; of several of one user and version, the newest.
    @discardableResult
    public func upsert(
        _ rows: [UserEmbedding],
        deletions: [UserID],
        offsets: [TopicPartition: (expected: Int64?, next: Int64)],
        group: String,
        owner: String
    ) async throws(PostgresError) -> Int {
        try await upsert(EmbeddingRows(rows), deletions: deletions, offsets: offsets, group: group, owner: owner)
    }

    /// Whether a write whose answer was lost took effect.
    ///
    /// If the server is still unreachable, `error` stands. If it says no, the write may still be in flight; but then a
    /// second attempt finds other offsets and is fenced.
    private func tookEffect(
        _ offsets: [TopicPartition: (expected: Int64?, next: Int64)],
        _ group: String,
        _ owner: String,
        _ error: PostgresError
    ) async throws(PostgresError) -> Bool {
        guard !offsets.isEmpty else { return false }
        let rows: PostgresResult
        do throws(PostgresError) {
            rows = try await writer.query(
                """
                SELECT topic, partition, next_offset FROM public.user_embeddings_offsets
                WHERE group_name = $1 AND owner = $2 FOR SHARE
                """,
                [.text(group), .text(owner)],
                operation: "asking whether a write took effect"
            )
        } catch _ {
            throw error
        }
        var stored: [TopicPartition: Int64] = [:]
        for row in 0..<rows.count {
            stored[TopicPartition(rows.text(row, 0), rows.int4(row, 1))] = rows.optionalInt8(row, 2)
        }
        return offsets.allSatisfy { stored[$0.key] == $0.value.next }
    }

    // MARK: - Reading

    /// One user's row.
    ///
    /// - Parameters:
    ///   - user: the user's id.
    ///   - modelVersion: the version of the model bundle that reads it.
    /// - Returns: the row; nil when the user has none.
    /// - Throws: `PostgresError`; of kind `.data` when what the row has cannot be read.
    public func row(user: UserID, modelVersion: String) async throws(PostgresError) -> UserEmbedding? {
        let rows = try await reader.query(
            "SELECT \(EmbeddingRows.names) FROM public.user_embeddings WHERE user_id = $1 AND model_version = $2",
            [.text(user.text), .text(modelVersion)],
            operation: "reading the embedding of a user"
        )
        return rows.count > 0 ? try EmbeddingRows.row(rows, 0) : nil
    }

    /// The model versions that have rows, and how many, most rows first.
    public func modelVersions() async throws(PostgresError) -> [(version: String, rows: Int)] {
        let rows = try await reader.query(
            """
            SELECT model_version, count(*) FROM public.user_embeddings GROUP BY model_version
            ORDER BY count(*) DESC, model_version
            """,
            operation: "counting the embeddings"
        )
        return (0..<rows.count).map { (rows.text($0, 0), Int(rows.int8($0, 1))) }
    }

    /// Reads all rows of a version, by user.
    ///
    /// - Parameters:
    ///   - modelVersion: the version.
    ///   - body: called with some hundred rows at a time, while others may write.
    /// - Throws: `PostgresError`, and what `body` throws.
    public func allRows(modelVersion: String, _ body: ([UserEmbedding]) async throws -> Void) async throws {
        var after: String?
        while true {
            let rows = try await reader.query(
                """
                SELECT \(EmbeddingRows.names) FROM public.user_embeddings
                WHERE model_version = $1 AND ($2::text IS NULL OR user_id > $2) ORDER BY user_id LIMIT 500
                """,
                [.text(modelVersion), after.map { .text($0) } ?? .null],
                operation: "reading all embeddings"
            )
            guard rows.count > 0 else { return }
            let page = try (0..<rows.count).map { try EmbeddingRows.row(rows, $0) }
            after = page.last?.user.text
            try await body(page)
        }
    }

    /// Closes the connections; the next call opens them again.
    public func close() async {
        await reader.close()
        await writer.close()
    }
}

extension CheckedFunction {
    /// Writes rows with their offsets.
    static let writeEmbeddings = CheckedFunction(
        schema: "public",
        name: "userllm_write_embeddings",
        checks: [
            (.writerFence, "AND o.owner = p_owner AND o.next_offset IS NOT DISTINCT FROM c.expected"),
            (.rowGuard, "WHERE (e.generation, e.event_count) < (EXCLUDED.generation, EXCLUDED.event_count)"),
        ]
    )
}

extension Protection {
    /// A row is replaced only by one with a greater event count.
    static var rowGuard: Protection { Protection("row-guard") }
    /// A writer that no longer owns its partitions, or whose offset is not the stored one, writes nothing.
    static var writerFence: Protection { Protection("writer-fence") }
}
