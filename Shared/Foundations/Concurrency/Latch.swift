import Synchronization

/// Something that happens once and leaves a value; any number of tasks may wait for it.
public final class Latch<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var nextID = 0
        /// The waiting tasks; each is resumed with nil if its wait is cancelled.
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Makes a latch that is not open yet.
    public init() {}

    /// The value it was opened with; nil before that.
    public var value: Value? { state.withLock { $0.value } }

    /// Opens the latch; only the first call counts.
    public func open(with value: Value) {
        let waiters = state.withLock { state in
            if state.value == nil { state.value = value }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    /// Waits until it is open, even in a cancelled task: for the end of work that must not be left behind.
    public func opened() async -> Value {
        // Only a wait that ends with cancellation gives nil, so this loop runs once.
        while true {
            if let value = await wait(as: nextID(), endsWithTask: false) { return value }
        }
    }

    /// Waits until it is open, or the task is cancelled.
    ///
    /// - Returns: the value it was opened with; nil when the task was cancelled first.
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
                // A cancellation that came first found no waiter to wake, so it is checked here.
                if endsWithTask, Task.isCancelled { return (false, nil) }
                state.waiters[id] = waiter
                return (true, nil)
            }
            if !mustWait { waiter.resume(returning: value) }
        }
    }
}

extension Latch where Value == Void {
    /// Whether it is open.
    public var isOpen: Bool { value != nil }

    /// Opens the latch.
    public func open() { open(with: ()) }
}
