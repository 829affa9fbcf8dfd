import Synchronization

/// Something that happens once and leaves a value; any number of tasks may wait for it.
public final class Latch<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var nextID = 0
        /// Who waits; nil for a value is the end of a wait that was cancelled.
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Makes one of which nothing has happened yet.
    public init() {}

    /// What it left; nil before it has happened.
    public var value: Value? { state.withLock { $0.value } }

    /// Says that it has happened; the first time counts.
    public func open(with value: Value) {
        let waiters = state.withLock { state in
            if state.value == nil { state.value = value }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    /// Waits until it has happened, in a task that is cancelled too: for the end of work that must not be left behind.
    public func opened() async -> Value {
        // Only a cancellation that is listened to gives nil, so this is one turn.
        while true {
            if let value = await wait(as: nextID(), endsWithTask: false) { return value }
        }
    }

    /// Waits until it has happened, or the task is cancelled.
    ///
    /// - Returns: what it left; nil when the task was cancelled before.
    @discardableResult
    public func openedOrCancelled() async -> Value? {
        let id = nextID()
        return await withTaskCancellationHandler {
            await wait(as: id, endsWithTask: true)
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: nil)
        }
    }

    private func nextID() -> Int {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    private func wait(as id: Int, endsWithTask: Bool) async -> Value? {
        await withCheckedContinuation { waiter in
            let (mustWait, value) = state.withLock { state -> (Bool, Value?) in
                if let value = state.value { return (false, value) }
                // A cancellation that came first finds nobody to wake, so it is looked for here.
                if endsWithTask, Task.isCancelled { return (false, nil) }
                state.waiters[id] = waiter
                return (true, nil)
            }
            if !mustWait { waiter.resume(returning: value) }
        }
    }
}

extension Latch where Value == Void {
    /// Whether it has happened.
    public var isOpen: Bool { value != nil }

    /// Says that it has happened.
    public func open() { open(with: ()) }
}
