import Dispatch
import Synchronization

/// A call of a C library that may hang, on a thread of its own.
public enum BoundedCall {
    /// How a call went.
    public enum Outcome<Value: Sendable>: Sendable {
        /// It returned in time.
        case returned(Value)
        /// It was still under way at the deadline.
        case leftBehind
    }

    private final class Result<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
        let isThere = DispatchSemaphore(value: 0)
    }

    /// Makes a call, and stops waiting for it at the deadline.
    ///
    /// Blocks the calling thread, so it is called on a `BlockingExecutor`. A call that is left behind keeps its thread, and
    /// what `body` holds, until it returns; that may be never.
    public static func run<Value: Sendable>(
        until deadline: ContinuousClock.Instant,
        _ body: @escaping @Sendable () -> Value
    ) -> Outcome<Value> {
        let result = Result<Value>()
        // A queue of its own: on a shared one, calls that hang would use up the threads of those that do not.
        DispatchQueue(label: "bounded-call").async {
            let value = body()
            result.value.withLock { $0 = value }
            result.isThere.signal()
        }
        let nanoseconds = (deadline - .now) / .nanoseconds(1)
        let timeout = DispatchTime.now() + .nanoseconds(Int(min(max(nanoseconds, 0), 1e18)))
        _ = result.isThere.wait(timeout: timeout)
        return result.value.withLock { value in value.map { .returned($0) } ?? .leftBehind }
    }
}
