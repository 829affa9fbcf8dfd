/// Waits longer after each failure in a row, with jitter so that many processes do not come back at once.
public struct Backoff: Sendable {
    private let first: Duration
    private let limit: Duration
    private var failures = 0

    /// Makes one that has seen no failure.
    public init(first: Duration = .milliseconds(50), limit: Duration = .seconds(5)) {
        self.first = first
        self.limit = limit
    }

    /// Counts a failure and says how long to wait: half to all of a time that doubles up to the limit.
    public mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let full = min(limit, first * (1 << min(failures, 16)))
        failures += 1
        return full * Double.random(in: 0.5...1, using: &generator)
    }

    /// Counts a failure and says how long to wait.
    public mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    /// Resets the count of failures after a success.
    public mutating func reset() { failures = 0 }
}
