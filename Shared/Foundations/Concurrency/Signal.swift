import Synchronization

/// Wakes the one task that waits for it; a signal raised before the wait is kept.
public final class Signal: Sendable {
    private struct State {
        var isRaised = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Makes a signal that is not raised.
    public init() {}

    /// Wakes the waiter, now or when it waits next.
    public func raise() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            defer { state.waiter = nil }
            if state.waiter == nil { state.isRaised = true }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits for the signal, or for the cancellation of the task.
    public func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let displaced = state.withLock { state -> CheckedContinuation<Void, Never>? in
                    if state.isRaised || Task.isCancelled {
                        state.isRaised = false
                        return waiter
                    }
                    // A second waiter makes the first one check again.
                    defer { state.waiter = waiter }
                    return state.waiter
                }
                displaced?.resume()
            }
        } onCancel: {
            raise()
        }
    }
}
