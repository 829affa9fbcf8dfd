/// How long to wait before the next try: twice as long each time, up to a second, with some chance in it so that many
/// processes do not come back in step.
struct BackOff {
    private var milliseconds: Int64 = 20

    /// The next wait.
    mutating func next() -> Duration {
        defer { milliseconds = min(milliseconds * 2, 1_000) }
        return .milliseconds(Int64.random(in: (milliseconds / 2)...milliseconds))
    }
}

extension PostgresConnection {
    /// Runs something that may be repeated, again and again while the server is away, until a deadline.
    func retrying<Result: Sendable>(
        until deadline: ContinuousClock.Instant,
        _ body: @Sendable (PostgresConnection) async throws(PostgresError) -> Result
    ) async throws(PostgresError) -> Result {
        var backOff = BackOff()
        while true {
            do throws(PostgresError) {
                return try await body(self)
            } catch {
                guard error.kind == .connection || error.kind == .retry, ContinuousClock.now < deadline else {
                    throw error
                }
            }
            // A task that is cancelled gives up at the next failure.
            do { try await Task.sleep(for: backOff.next()) } catch { throw .cancelled }
        }
    }
}

extension PostgresError {
    static let cancelled = PostgresError(
        code: .none,
        message: "the task was cancelled",
        operation: "waiting for the server"
    )
}
