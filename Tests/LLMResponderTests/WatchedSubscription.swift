import Messages
import MessageLogs

/// Passes on to a subscription, and remembers what a flow did with it.
actor WatchedSubscription: Subscription {
    /// What was committed at once.
    struct Commit: Sendable {
        let offsets: [TopicPartition: Int64]
        /// Partition and offset of the question of each answer, as in `0 3`.
        let sources: [String]
    }

    private let subscription: any Subscription
    private let beforeCommit: @Sendable (Int) async -> Void
    private let waitsForEvent: Bool

    /// Commits that succeeded and had answers with them.
    private(set) var commits: [Commit] = []
    /// How often it was asked what is due beside records.
    private(set) var askedCount = 0
    /// What was due beside records.
    private(set) var eventsBesideRecords: [SubscriptionEvent] = []

    /// Wraps a subscription.
    ///
    /// - Parameters:
    ///   - subscription: the other one.
    ///   - waitsForEvent: whether what is due is told only once something is, the first time after a commit.
    ///   - beforeCommit: is called with the number of each commit that has answers, from 1.
    init(
        _ subscription: any Subscription,
        waitsForEvent: Bool = false,
        beforeCommit: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        self.subscription = subscription
        self.waitsForEvent = waitsForEvent
        self.beforeCommit = beforeCommit
    }

    func next() async throws(StreamError) -> SubscriptionEvent? { try await subscription.next() }

    func readyBatch() async throws(StreamError) -> Batch? { try await subscription.readyBatch() }

    func eventBesideRecords() async throws(StreamError) -> SubscriptionEvent? {
        askedCount += 1
        var event = try await subscription.eventBesideRecords()
        while event == nil, waitsForEvent, !commits.isEmpty, eventsBesideRecords.isEmpty, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(20))
            event = try await subscription.eventBesideRecords()
        }
        if let event { eventsBesideRecords.append(event) }
        return event
    }

    func commit(
        _ offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError) {
        let sources = outputs.filter { $0.topic == Topic.answers.rawValue }.compactMap { output in
            output.headers.first { $0.name == Answer.sourceHeader }.map { String(decoding: $0.value, as: UTF8.self) }
        }
        if !sources.isEmpty { await beforeCommit(commits.count + 1) }
        try await subscription.commit(offsets, producing: outputs)
        if !sources.isEmpty { commits.append(Commit(offsets: offsets, sources: sources)) }
    }

    func start(at offsets: [TopicPartition: Int64]) async throws(StreamError) {
        try await subscription.start(at: offsets)
    }

    nonisolated func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64]) {
        subscription.resume(partitions, notBefore: floors)
    }

    func close() async { await subscription.close() }
}
