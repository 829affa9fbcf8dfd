import PostgresClient
import Concurrency
import Foundation
import MessageLogs

/// Appends the records of many callers in few transactions: while one runs, later records are gathered for the next.
actor Appender {
    /// What a waiting caller has to do.
    private enum Turn {
        case done(Result<Void, StreamError>)
        /// The previous transaction has ended; take everything gathered so far, your own records included, and send it.
        case lead
    }

    private struct Waiter {
        let batch: AppendBatch
        let continuation: CheckedContinuation<Turn, Never>
    }

    /// Per transaction; a single caller may have more records.
    private static let maximumCount = 10_000
    private static let maximumByteCount = 8 << 20

    private let connection: PostgresConnection
    private let timeout: Duration
    private var isSending = false
    private var waiting: [Waiter] = []

    init(_ connection: PostgresConnection, timeout: Duration) {
        self.connection = connection
        self.timeout = timeout
    }

    /// Appends a batch and returns when it is durable.
    func append(_ batch: AppendBatch) async throws(StreamError) {
        guard batch.count > 0 else { return }
        guard isSending else {
            isSending = true
            let result = await send(batch)
            passOn()
            return try result.get()
        }
        let turn = await withCheckedContinuation { continuation in
            waiting.append(Waiter(batch: batch, continuation: continuation))
        }
        switch turn {
        case .done(let result): try result.get()
        case .lead: try await lead(batch).get()
        }
    }

    /// Sends the caller's own batch with those of the other waiting callers, and gives them their results.
    private func lead(_ own: AppendBatch) async -> Result<Void, StreamError> {
        var batch = own
        var followers: [Waiter] = []
        while let next = waiting.first, batch.count + next.batch.count <= Self.maximumCount,
            batch.byteCount + next.batch.byteCount <= Self.maximumByteCount
        {
            batch.add(next.batch)
            followers.append(waiting.removeFirst())
        }
        let result = await send(batch)
        for follower in followers { follower.continuation.resume(returning: .done(result)) }
        passOn()
        return result
    }

    private func passOn() {
        if waiting.isEmpty {
            isSending = false
        } else {
            waiting.removeFirst().continuation.resume(returning: .lead)
        }
    }

    /// Runs one transaction.
    ///
    /// When the connection breaks before the reply, the database is queried whether it took effect.
    private func send(_ batch: AppendBatch) async -> Result<Void, StreamError> {
        let deadline = ContinuousClock.now + timeout
        let parameters = batch.parameters
        var backoff = Backoff.ofServer
        while true {
            let identifier = UUID().uuidString
            do throws(PostgresError) {
                _ = try await connection.query(
                    "SELECT userllm_log.append_once($1::text::uuid, $2, $3, $4, $5, $6, $7, $8)",
                    [.text(identifier)] + parameters,
                    operation: "appending \(batch.count) records"
                )
                return .success(())
            } catch {
                guard error.kind == .connection || error.kind == .retry else { return .failure(StreamError(error)) }
                do throws(PostgresError) {
                    if error.isOutcomeUnknown, try await connection.tookEffect(identifier, until: deadline) {
                        return .success(())
                    }
                } catch {
                    return .failure(.unavailable("\(error); the records may have been appended"))
                }
                guard ContinuousClock.now < deadline else { return .failure(StreamError(error)) }
            }
            try? await Task.sleep(for: backoff.next())
        }
    }
}

extension PostgresConnection {
    /// Whether a statement that put its id into `appends` took effect; if not, it never will, because the id is taken.
    func tookEffect(
        _ identifier: String,
        until deadline: ContinuousClock.Instant
    ) async throws(PostgresError) -> Bool {
        try await retrying(until: deadline) { connection throws(PostgresError) in
            // Waits for the statement if it is running now.
            _ = try await connection.query(
                """
                INSERT INTO userllm_log.appends (id, is_refused) VALUES ($1::text::uuid, true) ON CONFLICT DO NOTHING
                """,
                [.text(identifier)],
                operation: "refusing a statement that did not take effect yet"
            )
            // The refusal may stem from an earlier attempt whose reply was lost, so it is read and not inferred.
            let rows = try await connection.query(
                "SELECT NOT is_refused FROM userllm_log.appends WHERE id = $1::text::uuid",
                [.text(identifier)],
                operation: "asking whether a statement took effect"
            )
            return rows.count > 0 && rows.bool(0, 0)
        }
    }
}
