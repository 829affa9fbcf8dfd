public import ServiceRuntime
public import Streams

extension Subscription {
    /// Waits for the next event, and leaves the group when the service is to stop.
    ///
    /// The stop is heard here, between two batches: a batch that is being worked on is finished and committed. A flow that
    /// takes batches ahead stops taking them.
    /// - Returns: nil after the stop, or after `close`.
    /// - Throws: what `next` throws.
    public func next(until shutdown: Shutdown) async throws -> SubscriptionEvent? {
        if shutdown.isRequested {
            await close()
            return nil
        }
        let event = try await withThrowingTaskGroup(of: SubscriptionEvent?.self) { group in
            group.addTask { try await next() }
            group.addTask {
                await shutdown.requested()
                // A cancelled wait returns too, and then an event is being given out.
                if shutdown.isRequested, !Task.isCancelled { await close() }
                return nil
            }
            // After a stop this also ends a wait for a log that is away.
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        // Looked at once both tasks have ended: the one that closes may have been just ahead of its cancellation.
        guard shutdown.isRequested else { return event }
        // Nothing was done with the event: whoever reads next gets it.
        await close()
        return nil
    }
}
