import ServiceRuntime
import Synchronization
import UserTimelines

/// Warns about records in partitions that are not their users', at most once a minute, because nobody looks for that
/// unprompted.
final class RerouteNotice: Sendable {
    private struct State {
        var counts: [TimelineUpdate.Reroute.Reason: Int] = [:]
        var next: ContinuousClock.Instant?
    }

    private static let pause: Duration = .seconds(60)
    private let logger: Logger
    private let state = Mutex(State())

    /// Starts with nothing to report.
    init(_ logger: Logger) {
        self.logger = logger
    }

    /// Counts rerouted records, and logs how many there were since the last time.
    func add(_ reroutes: [TimelineUpdate.Reroute], now: ContinuousClock.Instant = .now) {
        guard !reroutes.isEmpty else { return }
        let counts: [TimelineUpdate.Reroute.Reason: Int]? = state.withLock { state in
            for reroute in reroutes { state.counts[reroute.reason, default: 0] += 1 }
            if let next = state.next, now < next { return nil }
            state.next = now + Self.pause
            defer { state.counts = [:] }
            return state.counts
        }
        guard let counts else { return }
        logger.warning(
            "sent records of user-events on to their users' partitions: give the producers partitioner=murmur2_random "
                + "(kcat and clients on librdkafka: Python, Go, .NET, Node) and the user's id as the key",
            metadata: Dictionary(uniqueKeysWithValues: counts.map { ("records.\($0.key.rawValue)", "\($0.value)") })
        )
    }
}
