public import Messages
public import ServiceRuntime
public import MessageLogs

extension MessageLog {
    /// Checks at a service's start that the topics it needs have the cleanup policy that the system relies on.
    ///
    /// Topics whose settings the log does not let the service see are trusted, with one warning.
    ///
    /// - Parameters:
    ///   - topics: topics the service reads or writes.
    ///   - rejected: the topic whose records it rejects.
    ///   - logger: takes the warning.
    /// - Throws: `StreamError`, for a topic that differs or does not exist.
    public func checkCleanup(
        of topics: [Topic],
        rejecting rejected: Topic? = nil,
        logger: Logger
    ) async throws(StreamError) {
        let names = topics.map(\.rawValue) + (rejected.map { [$0.rejected] } ?? [])
        let cleanups = TopicSpecification.system(partitionCount: 1).cleanups.filter { names.contains($0.key) }
        let hidden = try await checkCleanup(of: cleanups)
        guard !hidden.isEmpty else { return }
        logger.warning(
            "the log does not show the settings of topics: how they clean up was not checked",
            metadata: ["log.topics": hidden.joined(separator: " ")]
        )
    }
}
