public import ServiceRuntime
public import MessageLogs

extension Subscription {
    /// Waits for the next event, and leaves the group when the service is to stop.
    ///
    /// The stop is heard here, between two batches: a batch that is being worked on is finished and committed. A flow that
    /// takes batches ahead stops taking them.
    /// - Returns: nil after the stop, or after `close`.
    /// - Throws: what `next` throws.
    public func next(until shutdown: Shutdown) async throws -> SubscriptionEvent? {
        guard case .event(let event) = try await turn(until: shutdown, wake: nil) else { return nil }
        return event
    }

    /// Waits for the next event, for something else that the flow has to do, or for the stop.
    ///
    /// - Parameters:
    ///   - shutdown: the stop, upon which the group is left.
    ///   - wake: returns when there is something else to do, or when its task is cancelled.
    /// - Returns: the event if there is one, even when `wake` returned first: none is lost.
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
                // A cancelled wait returns too, and then an event is being given out.
                if shutdown.isRequested, !Task.isCancelled { await close() }
                return .stop
            }
            if let wake {
                group.addTask {
                    await wake()
                    return .wake
                }
            }
            // After a stop this also ends a wait for a log that is away.
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
        // Looked at once all tasks have ended: the one that closes may have been just ahead of its cancellation.
        guard shutdown.isRequested else { return turn }
        // Nothing was done with the event: whoever reads next gets it.
        await close()
        return .stopped
    }

    /// The next event; nil too where the wait was cancelled while the log is away, which the next wait says again.
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

/// What a flow that waits for more than events goes on with.
public enum SubscriptionTurn: Sendable {
    /// An event of the subscription.
    case event(SubscriptionEvent)
    /// There is something else to do.
    case woken
    /// The service is to stop, or the subscription was closed.
    case stopped
}
