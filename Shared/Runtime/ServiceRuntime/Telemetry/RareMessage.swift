import Synchronization

/// Rate-limits a message to once a minute, for events that something outside can cause at will.
final class RareMessage: Sendable {
    private let interval: Duration
    private let last = Mutex<ContinuousClock.Instant?>(nil)

    init(interval: Duration = .seconds(60)) {
        self.interval = interval
    }

    /// Whether the message is to be written now.
    func isDue(at now: ContinuousClock.Instant = .now) -> Bool {
        last.withLock { last in
            if let last, now - last < interval { return false }
            last = now
            return true
        }
    }
}
