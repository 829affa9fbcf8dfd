package import Concurrency

extension Backoff {
    /// The back-off between attempts when a server is unreachable or asks for a retry: short, because a caller waits.
    package static var ofServer: Backoff { Backoff(first: .milliseconds(20), limit: .seconds(1)) }
}

extension PostgresConnection {
    /// Retries an operation that may be repeated while the server is unreachable, until a deadline.
    package func retrying<Result: Sendable>(
        until deadline: ContinuousClock.Instant,
        _ body: @Sendable (PostgresConnection) async throws(PostgresError) -> Result
    ) async throws(PostgresError) -> Result {
        var backoff = Backoff.ofServer
        while true {
            do throws(PostgresError) {
                return try await body(self)
            } catch {
                guard error.kind == .connection || error.kind == .retry, ContinuousClock.now < deadline else {
                    throw error
                }
            }
            // A task that is cancelled gives up at the next failure.
            do { try await Task.sleep(for: backoff.next()) } catch { throw .cancelled }
        }
    }
}

extension PostgresError {
    package static let cancelled = PostgresError(
        code: .none,
        message: "the task was cancelled",
        operation: "waiting for the server"
    )
}
