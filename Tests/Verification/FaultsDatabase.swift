import Bytes
import PostgresClient
import Flows

/// What the harness asks the database of a system beside the services.
struct FaultsDatabase: Sendable {
    private let connection: PostgresConnection

    /// Will connect at the first question.
    init(_ address: String) throws {
        let settings = PostgresSettings(
            applicationName: "faults",
            connectTimeout: .seconds(3),
            statementTimeout: .seconds(5),
            responseTimeout: .seconds(8)
        )
        connection = try PostgresConnection(address: address, settings: settings)
    }

    /// Asks, and closes the connection.
    static func reading<Value: Sendable>(
        _ address: String,
        _ body: (FaultsDatabase) async throws -> Value
    ) async throws -> Value {
        let database = try FaultsDatabase(address)
        do {
            let value = try await body(database)
            await database.close()
            return value
        } catch {
            await database.close()
            throw error
        }
    }

    /// For each partition of `user-embeddings` where the writers are.
    func writerOffsets() async throws -> [Int32: Int64] {
        let rows = try await connection.query(
            """
            SELECT partition, coalesce(next_offset, 0) FROM public.user_embeddings_offsets WHERE group_name = $1
            """,
            [.text(ConsumerGroup.embeddingWriter)],
            operation: "asking where the writers are"
        )
        return Dictionary(uniqueKeysWithValues: (0..<rows.count).map { (rows.int4($0, 0), rows.int8($0, 1)) })
    }

    /// The event count of each row, by user.
    func counts() async throws -> [UserID: Int64] {
        let rows = try await connection.query(
            "SELECT user_id, event_count FROM public.user_embeddings",
            operation: "asking for the counts of all rows"
        )
        return Dictionary((0..<rows.count).map { (UserID(rows.text($0, 0)), rows.int8($0, 1)) }) { first, _ in first }
    }

    /// Ends about this share of the other connections, and gives their number.
    func cutConnections(share: Double) async throws -> Int {
        let rows = try await connection.query(
            """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() * 1000 < $1::int8
            """,
            [.int8(Int64(share * 1_000))],
            operation: "ending connections"
        )
        return Int(rows.int8(0, 0))
    }

    /// Gives up the connection.
    func close() async { await connection.close() }
}
