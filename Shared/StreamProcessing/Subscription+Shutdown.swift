public import ServiceRuntime
public import Streams

extension Subscription {
    /// Waits for the next event, and leaves the group when the service is to stop.
    ///
    /// The stop is heard only here, between two batches: a batch that is being worked on is finished and committed.
    /// - Returns: nil after the stop, or after `close`.
    /// - Throws: what `next` throws.
    public func next(until shutdown: Shutdown) async throws -> SubscriptionEvent? {
        if shutdown.isRequested {
            await close()
            return nil
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await shutdown.requested()
                // A cancelled wait returns too.
                if shutdown.isRequested { await close() }
            }
            defer { group.cancelAll() }
            return try await next()
        }
    }
}
