import Failpoints
import Foundation

/// A copy of a function of ours without one of its checks: what a test runs to see that the check is needed.
///
/// Only a process whose environment switches a protection off makes and calls one; the function itself stays as it is.
struct UnprotectedFunction: Sendable {
    private static let schema = "userllm_unprotected"

    /// Commits offsets and outputs of a batch.
    static let commitBatch = UnprotectedFunction(
        schema: "userllm_log",
        name: "commit_batch",
        checks: [
            .membershipCheck: """
            AND g.owner = p_member AND g.epoch = c.epoch AND g.next_offset IS NOT DISTINCT FROM c.expected
            """
        ]
    )

    /// Writes rows with their offsets.
    static let writeEmbeddings = UnprotectedFunction(
        schema: "public",
        name: "userllm_write_embeddings",
        checks: [
            .writerFence: "AND o.owner = p_owner AND o.next_offset IS NOT DISTINCT FROM c.expected",
            .rowGuard: "WHERE (e.generation, e.event_count) < (EXCLUDED.generation, EXCLUDED.event_count)",
        ]
    )

    private let schema: String
    private let name: String
    private let checks: [Protection: String]

    private var isUnprotected: Bool { checks.keys.contains(where: \.isOff) }

    /// What to call: the function, or the copy where one of its checks is switched off.
    var qualifiedName: String { isUnprotected ? "\(Self.schema).\(name)" : "\(schema).\(name)" }

    /// Makes the copy where one is called.
    ///
    /// - Throws: `PostgresError`, also when the function has not the check that is to be left out.
    func prepare(_ connection: PostgresConnection) async throws(PostgresError) {
        guard isUnprotected else { return }
        let operation = "making \(qualifiedName)"
        var definition = try await connection.query(
            "SELECT pg_get_functiondef(to_regproc($1)::oid)",
            [.text("\(schema).\(name)")],
            operation: operation
        ).text(0, 0)
        for (protection, check) in checks where protection.isOff {
            let words = check.split(whereSeparator: \.isWhitespace).map {
                NSRegularExpression.escapedPattern(for: String($0))
            }
            guard let range = definition.range(of: words.joined(separator: #"\s+"#), options: .regularExpression) else {
                throw PostgresError(code: .none, message: "it has no \(protection.rawValue)", operation: operation)
            }
            definition.removeSubrange(range)
        }
        let copy = definition.replacingOccurrences(
            of: "FUNCTION \(schema).\(name)(",
            with: "FUNCTION \(qualifiedName)("
        )
        // Several processes may do the same at the same time.
        try await connection.execute(
            """
            SELECT pg_advisory_xact_lock(\(0x5553_4C4C_0004));
            CREATE SCHEMA IF NOT EXISTS \(Self.schema);
            \(copy)
            """,
            operation: operation
        )
    }
}
