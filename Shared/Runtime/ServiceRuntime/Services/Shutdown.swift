import Synchronization

/// Tells a service when to stop; asked for once, heard by everyone who waits.
public final class Shutdown: Sendable {
    private struct State {
        var isRequested = false
        var nextID = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Makes one that was not asked for yet.
    public init() {}

    /// Whether the service is to stop; for loops that compute and cannot wait.
    public var isRequested: Bool { state.withLock { $0.isRequested } }

    /// Asks the service to stop.
    public func request() {
        let waiters = state.withLock { state in
            state.isRequested = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits until the service is to stop, or the task is cancelled.
    public func requested() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    // A cancellation that came first finds nobody to wake, so it is looked for here.
                    guard !state.isRequested, !Task.isCancelled else { return false }
                    state.waiters[id] = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }

    /// Runs an operation and cancels its task when the service is to stop.
    ///
    /// - Returns: what the operation returns; nil when it ended with `CancellationError` because of the stop.
    /// - Throws: what the operation throws.
    public func cancelling<Value: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask {
                do {
                    return try await operation()
                } catch is CancellationError where self.isRequested {
                    return nil
                }
            }
            group.addTask {
                await self.requested()
                return nil
            }
            defer { group.cancelAll() }
            let first = try await group.next() ?? nil
            if let first { return first }
            group.cancelAll()
            // The operation may have been first with nil, or is being cancelled: the other child tells.
            return try await group.next() ?? nil
        }
    }
}
