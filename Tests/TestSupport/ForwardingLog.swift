public import MessageLogs

/// A message log that passes on to another what a test's double of it does not do itself.
public protocol ForwardingLog: MessageLog {
    /// The other log.
    var log: any MessageLog { get }
}

extension ForwardingLog {
    /// Appends to the other log.
    public func append(_ records: [OutgoingRecord]) async throws(StreamError) { try await log.append(records) }

    /// Subscribes to the other log.
    public func subscribe(_ options: SubscriptionOptions) async throws(StreamError) -> any Subscription {
        try await log.subscribe(options)
    }

    /// Reads a partition of the other log.
    public func replay(
        _ partition: TopicPartition,
        last count: Int64?,
        waitingForOpenTransactions waits: Bool,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws {
        try await log.replay(partition, last: count, waitingForOpenTransactions: waits, body)
    }

    /// Creates topics of the other log.
    public func createTopics(_ topics: [TopicSpecification]) async throws(StreamError) {
        try await log.createTopics(topics)
    }

    /// What the other log says.
    public func checkCleanup(of topics: [String: TopicSpecification.Cleanup]) async throws(StreamError) -> [String] {
        try await log.checkCleanup(of: topics)
    }

    /// What the other log says.
    public func partitionCount(of topic: String) async throws(StreamError) -> Int32? {
        try await log.partitionCount(of: topic)
    }

    /// What the other log says.
    public func watermarks(of partition: TopicPartition) async throws(StreamError) -> (low: Int64, high: Int64) {
        try await log.watermarks(of: partition)
    }

    /// What the other log says.
    public func committedOffsets(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64] {
        try await log.committedOffsets(group: group, topic: topic)
    }

    /// What the other log says.
    public func lags(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64] {
        try await log.lags(group: group, topic: topic)
    }

    /// Closes the other log.
    public func close() async { await log.close() }
}
