package import Concurrency

extension Backoff {
    /// Between tries of a server that is away or asks to be tried again: short, for somebody waits for the answer.
    package static var ofServer: Backoff { Backoff(first: .milliseconds(20), limit: .seconds(1)) }
}

extension PostgresConnection {
    /// Runs something that may be repeated, again and again while the server is away, until a deadline.
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
