import Concurrency
import Bytes
import PostgresClient
import EmbeddingStore
import ServiceRuntime
import Flows
import Synchronization

/// Watches the rows that parked questions wait for, so that they cost nothing until there is something to answer.
///
/// The table notifies when rows have changed, and then one statement queries all users that are waited for. In case a
/// notification is lost, the rows are also polled once a second. The longer such a poll takes, the longer the next is
/// delayed: it takes a fifth of the time at most. While the database is unavailable it is polled until it is back.
final class RowWatch: Sendable {
    private struct State {
        /// The fewest events that each user's row must cover.
        var wanted: [UserID: UInt64] = [:]
        /// Users that have not been queried since they were added.
        var fresh: Set<UserID> = []
        var found: [UserID: UInt64] = [:]
        var isAway = false
        var isBack = false
    }

    /// News for the flow.
    struct News: Sendable {
        /// Users whose rows cover enough events for at least one of their questions, and how many events.
        var found: [UserID: UInt64]
        /// Whether the database is back after it was unavailable.
        var isBack: Bool
    }

    /// The polling interval for rows without a notification.
    private static let interval: Duration = .seconds(1)
    /// How long the connection is kept while nothing is waited for.
    private static let linger: Duration = .seconds(10)
    /// How many users one statement queries.
    private static let pieceCount = 5_000

    private let embeddings: EmbeddingWatch
    private let modelVersion: String
    private let metrics: StreamMetrics
    private let health: HealthCondition
    private let signal: Signal
    private let work = Signal()
    private let state = Mutex(State())

    /// Starts with nothing to watch.
    ///
    /// - Parameters:
    ///   - embeddings: the rows.
    ///   - modelVersion: the version of the rows that count.
    ///   - metrics: counts failures.
    ///   - health: whether the database can be reached.
    ///   - signal: raised when there is news.
    init(
        _ embeddings: EmbeddingWatch,
        modelVersion: String,
        metrics: StreamMetrics,
        health: HealthCondition,
        signal: Signal
    ) {
        self.embeddings = embeddings
        self.modelVersion = modelVersion
        self.metrics = metrics
        self.health = health
        self.signal = signal
    }

    // MARK: - For the flow

    /// Whether the database was unavailable at the last attempt.
    var isAway: Bool { state.withLock { $0.isAway } }

    /// Waits for a user's row to cover this many events; nil stops waiting for it.
    func want(_ user: UserID, _ eventCount: UInt64?) {
        let isNew = state.withLock { state in
            guard let eventCount else {
                state.wanted[user] = nil
                state.fresh.remove(user)
                return false
            }
            let known = state.wanted.updateValue(eventCount, forKey: user)
            guard known != eventCount else { return false }
            state.fresh.insert(user)
            return true
        }
        if isNew { wake() }
    }

    /// Starts polling for the database to be back.
    func databaseFailed(_ reason: String) {
        health.fails(reason)
        state.withLock { $0.isAway = true }
        wake()
    }

    /// The news since the last call.
    func takeNews() -> News {
        state.withLock { state in
            defer { (state.found, state.isBack) = ([:], false) }
            return News(found: state.found, isBack: state.isBack)
        }
    }

    // MARK: - Polling

    /// Polls until the task is cancelled.
    ///
    /// - Throws: `PostgresError` if the table is not what the program needs.
    func run() async throws {
        try await withTaskCancellationHandler {
            try await look()
        } onCancel: {
            wake()
        }
        await embeddings.rest()
    }

    private func wake() {
        work.raise()
        embeddings.wake()
    }

    private func look() async throws {
        var lastLook = ContinuousClock.now - Self.interval
        var lastNeeded = ContinuousClock.now
        var backoff = Backoff(limit: .seconds(1))
        while !Task.isCancelled {
            guard state.withLock({ $0.isAway || !$0.wanted.isEmpty }) else {
                try await idle(since: &lastNeeded)
                continue
            }
            lastNeeded = .now
            do throws(PostgresError) {
                let mustHurry = state.withLock { $0.isAway || !$0.fresh.isEmpty }
                let hasChanged = try await embeddings.change(atMost: mustHurry ? .zero : Self.interval)
                let isDue = hasChanged || isAway || ContinuousClock.now - lastLook >= Self.interval
                let users = state.withLock { state in
                    defer { state.fresh = [] }
                    return isDue ? Array(state.wanted.keys) : Array(state.fresh)
                }
                let start = ContinuousClock.now
                try await look(at: users)
                if isDue {
                    lastLook = .now
                    try? await Task.sleep(for: min(Self.interval, (lastLook - start) * 4))
                }
                backoff.reset()
            } catch {
                guard error.kind == .connection || error.kind == .retry else { throw error }
                metrics.countError(.receiving)
                health.fails(error.description)
                state.withLock { $0.isAway = true }
                try? await Task.sleep(for: backoff.next())
            }
        }
    }

    /// Waits for something to watch; the connection is kept for a while.
    private func idle(since lastNeeded: inout ContinuousClock.Instant) async throws(PostgresError) {
        let rest = Self.linger - (.now - lastNeeded)
        do throws(PostgresError) {
            if rest > .zero {
                _ = try await embeddings.change(atMost: rest)
                return
            }
        } catch {
            guard error.kind == .connection || error.kind == .retry else { throw error }
        }
        await embeddings.rest()
        await work.wait()
        lastNeeded = .now
    }

    private func look(at users: [UserID]) async throws(PostgresError) {
        var isNews = false
        // Query even without users, because that is how it is known whether the database is there.
        for start in stride(from: 0, to: max(1, users.count), by: Self.pieceCount) {
            let piece = users[start..<min(start + Self.pieceCount, users.count)]
            if piece.isEmpty, !isAway { continue }
            let counts = try await embeddings.eventCounts(
                of: Array(piece),
                modelVersion: modelVersion
            )
            isNews = note(counts) || isNews
        }
        isNews = noteReached() || isNews
        if isNews { signal.raise() }
    }

    private func note(_ counts: [(user: UserID, eventCount: UInt64)]) -> Bool {
        state.withLock { state in
            var isNews = false
            for (user, eventCount) in counts {
                guard let least = state.wanted[user], eventCount >= least else { continue }
                state.found[user] = eventCount
                isNews = true
            }
            return isNews
        }
    }

    private func noteReached() -> Bool {
        state.withLock { state in
            guard state.isAway else { return false }
            (state.isAway, state.isBack) = (false, true)
            health.holds()
            return true
        }
    }
}
