/// The message log as services see it: Kafka and PostgreSQL conform, and one suite of tests holds both to this
/// contract.
public protocol MessageLog: Sendable {
    /// Appends records and returns when all of them are durable.
    ///
    /// - Throws: `StreamError`; `.unavailable` when the log does not take them in time (some may have been taken),
    ///   `.tooLarge` for a record over the limit.
    func append(_ records: [OutgoingRecord]) async throws(StreamError)

    /// Joins a group that shares the topics' partitions, or reads all partitions alone.
    func subscribe(_ options: SubscriptionOptions) async throws(StreamError) -> any Subscription

    /// Reads the live records of a partition, from its start up to its end at the time of the call.
    ///
    /// The end is the true high watermark, even when transactions are open. In a compacted topic, earlier records of a
    /// key may still come before the newest.
    /// - Parameters:
    ///   - partition: what to read.
    ///   - count: how many offsets before the end to begin; nil begins at the start.
    ///   - waits: whether to wait for records of a transaction that is still open, as a reader that restores state
    ///     must. Otherwise these records, and those after them, are left out.
    ///   - body: called with the records in order, in pieces of at most some thousand.
    /// - Throws: `StreamError`, and what `body` throws.
    func replay(
        _ partition: TopicPartition,
        last count: Int64?,
        waitingForOpenTransactions waits: Bool,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws

    /// Creates topics that do not exist and checks those that do.
    ///
    /// - Throws: `.topicMismatch` when one exists with another partition count, and what `checkCleanup` throws.
    func createTopics(_ topics: [TopicSpecification]) async throws(StreamError)

    /// Checks that topics exist and either keep the newest record of each key or delete by age, as specified.
    ///
    /// The retention time is the operator's choice, so it is not compared.
    /// - Returns: topics whose settings the log does not let this process see; they were not checked.
    /// - Throws: `.settingMismatch` for the first that differs, `.unknownTopic` for one that does not exist.
    func checkCleanup(of topics: [String: TopicSpecification.Cleanup]) async throws(StreamError) -> [String]

    /// The number of partitions of a topic; nil when there is no such topic.
    func partitionCount(of topic: String) async throws(StreamError) -> Int32?

    /// The first offset that is still there, and one past the last.
    func watermarks(of partition: TopicPartition) async throws(StreamError) -> (low: Int64, high: Int64)

    /// The offsets from which a group resumes; a partition without a commit is missing.
    func committedOffsets(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64]

    /// How many records of each partition of a topic a group has still to read; control records of the log do not count
    /// at its end.
    func lags(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64]

    /// Ends all work and closes all connections; subscriptions should be closed first.
    func close() async
}

extension [TopicSpecification] {
    /// The cleanup policy of each topic.
    public var cleanups: [String: TopicSpecification.Cleanup] {
        Dictionary(map { ($0.name, $0.cleanup) }) { first, _ in first }
    }
}

extension MessageLog {
    /// Reads all live records of a partition, and waits for those of open transactions.
    public func replay(
        _ partition: TopicPartition,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws {
        try await replay(partition, last: nil, waitingForOpenTransactions: true, body)
    }

    /// Reads the last records of a partition that are visible now.
    public func replay(
        _ partition: TopicPartition,
        last count: Int64,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws {
        try await replay(partition, last: count, waitingForOpenTransactions: false, body)
    }

    /// How many records of a topic a group has still to read, over all partitions.
    public func lag(group: String, topic: String) async throws(StreamError) -> Int64 {
        try await lags(group: group, topic: topic).values.reduce(0, +)
    }
}

/// What to subscribe to, and how.
public struct SubscriptionOptions: Sendable {
    /// Whether other readers share the partitions, and where reading begins.
    public enum Membership: Sendable, Equatable {
        /// Partitions are shared among the group's members; offsets are the log's, committed by `commit`.
        case group(String)
        /// Partitions are shared among the group's members; the reader keeps its offsets itself and gives them to
        /// `start` after each assignment. `commit` is then advisory, for lag tools.
        case groupWithOwnOffsets(String)
        /// All partitions, no group, nothing committed, from records younger than this.
        case tail(since: Duration)
    }

    /// The topics to read.
    public var topics: [String]
    /// Whether other readers share the partitions.
    public var membership: Membership
    /// The most records of a batch.
    public var maximumBatchCount: Int
    /// How long a batch waits for more records after its first.
    public var linger: Duration
    /// Names this member, and its transactions, in the log's own records: `<service>-<instance>`.
    public var memberName: String
    /// A member that is silent for this long loses its partitions.
    public var sessionTimeout: Duration
    /// Whether records of newly assigned partitions are held until `resume` names them, while those of others continue.
    public var holdsNewPartitions: Bool
    /// The topics that commits of a group's member write to: an interrupted commit is cleaned up there.
    public var outputTopics: [String]

    /// Makes options.
    public init(
        topics: [String],
        membership: Membership,
        maximumBatchCount: Int = 1_000,
        linger: Duration = .milliseconds(5),
        memberName: String,
        sessionTimeout: Duration = .seconds(10),
        holdsNewPartitions: Bool = false,
        outputTopics: [String] = []
    ) {
        self.topics = topics
        self.membership = membership
        self.maximumBatchCount = maximumBatchCount
        self.linger = linger
        self.memberName = memberName
        self.sessionTimeout = sessionTimeout
        self.holdsNewPartitions = holdsNewPartitions
        self.outputTopics = outputTopics
    }
}

/// A reader of the log: it yields events in order, pulled one at a time.
public protocol Subscription: Sendable {
    /// Waits for the next event; nil after `close`, and soon after the task is cancelled.
    ///
    /// Asking for the next event declares that the last one has been processed. An open batch that was not committed is
    /// not delivered again, unless `commit` threw. A cancelled wait loses nothing: it returns the event that was
    /// already there, or nil, and the next call continues to wait.
    func next() async throws(StreamError) -> SubscriptionEvent?

    /// The next batch if its records are already there, requested while the last one is still being processed: reading,
    /// processing and committing then overlap.
    ///
    /// Commit batches in the order in which they were delivered. Once a commit was refused, those of later batches that
    /// share a partition with it are refused too, so leave these partitions out of them.
    /// - Returns: nil when there is nothing to read yet, or another event is due; commit what is open, then call
    ///   `next`.
    func readyBatch() async throws(StreamError) -> Batch?

    /// The next event that is not a batch, requested between two parts of a long batch, or while the reader waits for
    /// something else.
    ///
    /// The call shows the log that the reader is alive, and lets partitions that are to move go to other members. As
    /// with `next`, it declares that the previous event has been processed. The rest of the batch remains the reader's,
    /// except for records of partitions that are revoked here: they now belong to others, or come again.
    /// - Returns: `.assigned` or `.revoked`, never a batch; nil when no such event is due.
    func eventBesideRecords() async throws(StreamError) -> SubscriptionEvent?

    /// Makes offsets and outputs visible together, or neither.
    ///
    /// The offsets are those to resume from, for partitions from which something was read; the others keep theirs. A
    /// reader that is still working on records before the last one it read commits up to the first of them, but may
    /// include outputs of later ones. Whoever takes over then reads some records again, and must find out which of them
    /// are done. The offset of an earlier commit may be committed again, with further outputs: that commit is fenced
    /// like any other. Outputs need at least one partition, because its ownership is what authorizes them.
    /// - Throws: `.commitRefused` when this member no longer owns a partition, was fenced, or the outcome had to be
    ///   read back and was "not committed". Nothing of it is visible. The events that follow are `.revoked` with `lost`
    ///   for the partitions concerned and, if they are still or again this member's, `.assigned` from the last
    ///   committed offset.
    func commit(
        _ offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError)

    /// Lets records flow after `.assigned`, with `groupWithOwnOffsets`; partitions that are missing start at their low
    /// watermark.
    func start(at offsets: [TopicPartition: Int64]) async throws(StreamError)

    /// Lets records of assigned partitions flow, with `holdsNewPartitions`; any task may call it, even while another
    /// waits in `next`.
    ///
    /// Each `.assigned` holds its partitions again, including those that were resumed before. A partition that is not
    /// this member's, or already flows, is ignored. But a caller that has already received `.revoked` may affect a
    /// later assignment of the partition, so that must be ruled out.
    /// - Parameters:
    ///   - partitions: the partitions to resume.
    ///   - offsets: low-water marks: offsets that the group has passed, as shown by the outputs of earlier commits
    ///     in the reader's restored state, or offsets that it begins with because earlier records were deleted.
    ///     A log whose servers may forget commits resumes from there if the committed offsets are lower.
    func resume(_ partitions: [TopicPartition], notBefore offsets: [TopicPartition: Int64])

    /// Leaves the group; its partitions go to other members at once.
    func close() async
}

extension Subscription {
    /// Makes the end of a batch and the outputs visible together, or neither.
    public func commit(_ batch: Batch, producing outputs: [OutgoingRecord]) async throws(StreamError) {
        try await commit(batch.nextOffsets, producing: outputs)
    }

    /// Returns nil, for logs that do not expire idle readers and have nobody waiting for their partitions.
    public func eventBesideRecords() async throws(StreamError) -> SubscriptionEvent? { nil }

    /// Lets records of assigned partitions flow from the committed offsets.
    public func resume(_ partitions: [TopicPartition]) { resume(partitions, notBefore: [:]) }
}

/// What a subscription yields.
public enum SubscriptionEvent: Sendable {
    /// These partitions are this member's now; restore their state before asking for the next event, or, with
    /// `holdsNewPartitions`, before resuming them.
    case assigned([TopicPartition])
    /// Records of assigned partitions.
    case batch(Batch)
    /// These partitions no longer belong to this member. With `lost`, another member may already be working on them.
    case revoked([TopicPartition], lost: Bool)
}

/// A topic to create.
public struct TopicSpecification: Sendable, Equatable {
    /// The cleanup policy of a topic.
    public enum Cleanup: Sendable, Equatable {
        /// Deleted after this long.
        case delete(after: Duration)
        /// The newest record of each key stays.
        case compact
    }

    /// Its name.
    public var name: String
    /// Its number of partitions.
    public var partitionCount: Int32
    /// The cleanup policy.
    public var cleanup: Cleanup

    /// Makes a specification.
    public init(name: String, partitionCount: Int32, cleanup: Cleanup) {
        self.name = name
        self.partitionCount = partitionCount
        self.cleanup = cleanup
    }
}
