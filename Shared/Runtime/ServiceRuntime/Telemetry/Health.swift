import Synchronization

/// Whether a process can do its work, and if not, why.
///
/// Each part adds a condition and keeps it up to date; the process is ready when all hold and it is not stopping.
public final class Health: Sendable {
    private struct State {
        var order: [String] = []
        var reasons: [String: String] = [:]
        var isStopping = false
    }

    private let state = Mutex(State())

    /// Makes one without conditions, which is ready.
    public init() {}

    /// Adds a condition that does not hold yet.
    ///
    /// - Parameters:
    ///   - name: what must hold, as in `partitions assigned`.
    ///   - reason: why it does not hold yet.
    /// - Returns: the condition to update when it holds.
    public func condition(_ name: String, waitingFor reason: String) -> HealthCondition {
        state.withLock { state in
            if !state.order.contains(name) { state.order.append(name) }
            state.reasons[name] = reason
        }
        return HealthCondition(name: name, health: self)
    }

    /// What does not hold, in the order the conditions were added; empty when the process is ready.
    public var reasons: [(condition: String, reason: String)] {
        state.withLock { state in
            let stopping = state.isStopping ? [(condition: "running", reason: "the process is stopping")] : []
            return stopping + state.order.compactMap { name in state.reasons[name].map { (name, $0) } }
        }
    }

    /// The names of all conditions.
    public var conditions: [String] { state.withLock { $0.order } }

    /// Whether all conditions hold.
    public var isReady: Bool { reasons.isEmpty }

    /// Notes that the process is stopping, so that it gets no more work.
    public func beginStopping() {
        state.withLock { $0.isStopping = true }
    }

    fileprivate func set(_ name: String, reason: String?) {
        state.withLock { $0.reasons[name] = reason }
    }
}

/// One thing that must hold for a process to be ready.
public struct HealthCondition: Sendable {
    /// What must hold.
    public let name: String
    private let health: Health

    fileprivate init(name: String, health: Health) {
        self.name = name
        self.health = health
    }

    /// It holds.
    public func holds() {
        health.set(name, reason: nil)
    }

    /// It does not hold, for this reason.
    public func fails(_ reason: String) {
        health.set(name, reason: reason)
    }
}
