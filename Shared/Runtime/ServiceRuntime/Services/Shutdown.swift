import Concurrency

/// Tells a service when to stop; asked for once, heard by everyone who waits.
public final class Shutdown: Sendable {
    private let latch = Latch<Void>()

    /// Makes a shutdown that was not requested yet.
    public init() {}

    /// Whether the service is to stop; for loops that compute and cannot wait.
    public var isRequested: Bool { latch.isOpen }

    /// Asks the service to stop.
    public func request() { latch.open() }

    /// Waits until the service is to stop, or the task is cancelled.
    public func requested() async { await latch.openedOrCancelled() }

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
            // The operation may have returned nil first, or is being cancelled: the other child decides.
            return try await group.next() ?? nil
        }
    }
}
