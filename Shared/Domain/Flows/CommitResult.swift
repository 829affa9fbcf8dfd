public import MessageLogs

/// The outcome of a commit that did not fail.
public enum CommitResult: Sendable, Equatable {
    /// Offsets and outputs are visible.
    case committed
    /// Nothing of it is visible, because a partition moved to another member; a new assignment follows.
    case refused(String)
}

extension Subscription {
    /// Commits a batch, and tells a refusal apart from a failure.
    ///
    /// - Parameters:
    ///   - batch: the batch.
    ///   - outputs: what it produced.
    /// - Returns: whether it was committed.
    /// - Throws: every `StreamError` but `commitRefused`.
    public func commitResult(
        of batch: Batch,
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError) -> CommitResult {
        try await commitResult(of: batch.nextOffsets, producing: outputs)
    }

    /// Commits offsets, and tells a refusal apart from a failure.
    ///
    /// - Parameters:
    ///   - offsets: the offset that each partition continues from.
    ///   - outputs: what was produced.
    /// - Returns: whether it was committed.
    /// - Throws: every `StreamError` but `commitRefused`.
    public func commitResult(
        of offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError) -> CommitResult {
        do throws(StreamError) {
            try await commit(offsets, producing: outputs)
            return .committed
        } catch {
            guard case .commitRefused(let reason) = error else { throw error }
            return .refused(reason)
        }
    }
}
