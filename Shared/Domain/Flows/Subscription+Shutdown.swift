public import ServiceRuntime
public import MessageLogs

extension Subscription {
    /// Waits for the next event, and leaves the group when the service is to stop.
    ///
    /// The stop takes effect here, between two batches: a batch in progress is finished and committed. A flow that
    /// prefetches batches stops prefetching.
    /// - Returns: nil after the stop, or after `close`.
    /// - Throws: what `next` throws.
    public func next(until shutdown: Shutdown) async throws -> SubscriptionEvent? {
        guard case .event(let event) = try await turn(until: shutdown, wake: nil) else { return nil }
        return event
    }

    /// Waits for the next event, for something else that the flow has to do, or for the stop.
    ///
    /// - Parameters:
    ///   - shutdown: the stop, on which the group is left.
    ///   - wake: returns when there is something else to do, or when its task is cancelled.
    /// - Returns: the event if there is one, even when `wake` returned first, so that none is lost.
    /// - Throws: what `next` throws.
    public func next(
        until shutdown: Shutdown,
        orWhen wake: @escaping @Sendable () async -> Void
    ) async throws -> SubscriptionTurn {
        try await turn(until: shutdown, wake: wake)
    }

    private func turn(
        until shutdown: Shutdown,
        wake: (@Sendable () async -> Void)?
    ) async throws -> SubscriptionTurn {
        if shutdown.isRequested {
            await close()
            return .stopped
        }
        let turn = try await withThrowingTaskGroup(of: Ended.self) { group in
            group.addTask { .event(try await nextUnlessCancelled()) }
            group.addTask {
                await shutdown.requested()
                // A cancelled wait returns too, and then an event is being returned.
                if shutdown.isRequested, !Task.isCancelled { await close() }
                return .stop
            }
            if let wake {
                group.addTask {
                    await wake()
                    return .wake
                }
            }
            // After a stop this also ends a wait for a log that is unreachable.
            defer { group.cancelAll() }
            guard let first = try await group.next() else { return SubscriptionTurn.stopped }
            group.cancelAll()
            if case .event(let event) = first { return event.map { .event($0) } ?? .stopped }
            while let other = try await group.next() {
                if case .event(let event?) = other { return .event(event) }
            }
            if case .wake = first { return .woken }
            return .stopped
        }
        // Checked after all tasks have ended: the one that closes may have finished just before its cancellation.
        guard shutdown.isRequested else { return turn }
        // Nothing was done with the event: the next reader gets it.
        await close()
        return .stopped
    }

    /// The next event; nil also when the wait was cancelled while the log is unreachable, which the next wait reports
    /// again.
    private func nextUnlessCancelled() async throws(StreamError) -> SubscriptionEvent? {
        do throws(StreamError) {
            return try await next()
        } catch {
            if Task.isCancelled, case .unavailable = error { return nil }
            throw error
        }
    }
}

/// Which of the things that a flow waits for has ended.
private enum Ended: Sendable {
    case event(SubscriptionEvent?)
    case stop
    case wake
}

/// How a flow that waits for more than events continues.
public enum SubscriptionTurn: Sendable {
    /// An event of the subscription.
    case event(SubscriptionEvent)
    /// There is something else to do.
    case woken
    /// The service is to stop, or the subscription was closed.
    case stopped
}
