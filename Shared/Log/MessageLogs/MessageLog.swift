/// The message log as services see it: Kafka and PostgreSQL conform, and one suite of tests holds both to this text.
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
    /// The end is the true high watermark, also when transactions are open. Of a compacted topic, earlier records of a key
    /// may still come before the newest.
    /// - Parameters:
    ///   - partition: what to read.
    ///   - count: how many offsets before the end to begin; nil begins at the start.
    ///   - waits: whether records of a transaction that is still open are waited for, as who restores a state must. A look
    ///     at what is there leaves them out, and what is behind them.
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

    /// Checks that topics exist and either keep the newest record of each key or delete by age, as they are to do.
    ///
    /// After how long records are deleted is the operator's choice, so it is not compared.
    /// - Returns: topics whose settings the log does not let this process see; they were not checked.
    /// - Throws: `.settingMismatch` for the first that differs, `.unknownTopic` for one that does not exist.
    func checkCleanup(of topics: [String: TopicSpecification.Cleanup]) async throws(StreamError) -> [String]

    /// The number of partitions of a topic; nil when there is no such topic.
    func partitionCount(of topic: String) async throws(StreamError) -> Int32?

    /// The first offset that is still there, and one past the last.
    func watermarks(of partition: TopicPartition) async throws(StreamError) -> (low: Int64, high: Int64)

    /// The offsets a group will go on from; a partition without a commit is missing.
    func committedOffsets(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64]

    /// How many records of each partition of a topic a group has still to read; control records of the log do not count
    /// at its end.
    func lags(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64]

    /// Ends all work and gives up all connections; subscriptions should be closed first.
    func close() async
}

extension [TopicSpecification] {
    /// What becomes of old records of each topic.
    public var cleanups: [String: TopicSpecification.Cleanup] {
        Dictionary(map { ($0.name, $0.cleanup) }) { first, _ in first }
    }
}

extension MessageLog {
    /// Reads all live records of a partition, and waits for those of transactions that are still open.
    public func replay(
        _ partition: TopicPartition,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws {
        try await replay(partition, last: nil, waitingForOpenTransactions: true, body)
    }

    /// Looks at the last records of a partition that are there.
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
    /// Who else reads, and where reading begins.
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
    /// Who else reads.
    public var membership: Membership
    /// The most records of a batch.
    public var maximumBatchCount: Int
    /// How long a batch waits for more records after its first.
    public var linger: Duration
    /// Names this member, and its transactions, in the log's own records: `<service>-<instance>`.
    public var memberName: String
    /// A member that is not heard of for this long loses its partitions.
    public var sessionTimeout: Duration
    /// Whether records of newly assigned partitions wait until `resume` names them, while those of others go on.
    public var holdsNewPartitions: Bool
    /// The topics that commits of a group's member write to: a commit that broke off is cleared away from them.
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

/// A reader's place in the log: events in order, pulled one at a time.
public protocol Subscription: Sendable {
    /// Waits for the next event; nil after `close`, and soon after the task is cancelled.
    ///
    /// Asking for the next event says that the last is dealt with. An open batch that was not committed is not given
    /// again, unless `commit` threw. A cancelled wait loses nothing: it gives the event that was there already, or nil, and
    /// who asks again waits on.
    func next() async throws(StreamError) -> SubscriptionEvent?

    /// The next batch if its records are there already, asked for while the last one is still worked on: reading, working
    /// and committing then go side by side.
    ///
    /// Commit batches in the order they were given. Once a commit was refused, those of later batches that have a
    /// partition in common with it are refused too, so leave these partitions out of them.
    /// - Returns: nil when there is nothing to read yet, or another event is due; commit what is open, then ask `next`.
    func readyBatch() async throws(StreamError) -> Batch?

    /// What is due beside records, asked for between two parts of a batch that takes long, or while the reader waits for
    /// something else: by that the log knows that the reader lives, which asks for nothing, and others get what is to go to
    /// them.
    ///
    /// Asking says, as with `next`, that the event before is dealt with. What is left of the batch stays the reader's, but for
    /// the records of partitions that are revoked here: they are others' now, or come again.
    /// - Returns: `.assigned` or `.revoked`, never a batch; nil when nothing of the kind is due.
    func eventBesideRecords() async throws(StreamError) -> SubscriptionEvent?

    /// Makes offsets and outputs visible together, or neither.
    ///
    /// The offsets are those to go on from, of partitions of which something was read; the rest keep theirs. A reader that
    /// still works on earlier records than the last it read commits up to the first of them, and outputs of later ones all
    /// the same: whoever takes over then reads some records again, so it must find out which of them are done. The offset
    /// of an earlier commit may be committed again, with further outputs: the commit is fenced as any other. Outputs need at
    /// least one partition, for it is the ownership of it that lets them in.
    /// - Throws: `.commitRefused` when this member no longer owns a partition, was fenced, or the outcome had to be read
    ///   back and was "not committed": nothing of it is visible, the events that follow are `.revoked` with `lost` for the
    ///   partitions concerned and, if they are still or again this member's, `.assigned` from the last committed offset.
    func commit(
        _ offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError)

    /// Lets records flow after `.assigned`, with `groupWithOwnOffsets`; partitions that are missing start at their low
    /// watermark.
    func start(at offsets: [TopicPartition: Int64]) async throws(StreamError)

    /// Lets records of assigned partitions flow, with `holdsNewPartitions`; any task may call it, also while another waits
    /// in `next`.
    ///
    /// Each `.assigned` holds its partitions anew, also those that were resumed before. A partition that is not this
    /// member's, or flows already, is passed over; but who calls it after it was told `.revoked` may hit a later
    /// assignment of the partition, so that must be ruled out.
    /// - Parameters:
    ///   - partitions: what is to flow.
    ///   - floors: offsets that the outputs of earlier commits, where the reader restored its state from, show to be behind
    ///     the group, or that the reader begins with because what is before them was deleted. A log whose servers may forget
    ///     commits goes on from there if they say less.
    func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64])

    /// Leaves the group; partitions go to others at once.
    func close() async
}

extension Subscription {
    /// Makes the end of a batch and the outputs visible together, or neither.
    public func commit(_ batch: Batch, producing outputs: [OutgoingRecord]) async throws(StreamError) {
        try await commit(batch.nextOffsets, producing: outputs)
    }

    /// Nothing, where readers are not missed and nobody waits for what they hold.
    public func eventBesideRecords() async throws(StreamError) -> SubscriptionEvent? { nil }

    /// Lets records of assigned partitions flow from what is committed.
    public func resume(_ partitions: [TopicPartition]) { resume(partitions, notBefore: [:]) }
}

/// What a subscription yields.
public enum SubscriptionEvent: Sendable {
    /// These partitions are this member's now; restore their state before asking for the next event, or, with
    /// `holdsNewPartitions`, before resuming them.
    case assigned([TopicPartition])
    /// Records of assigned partitions.
    case batch(Batch)
    /// These partitions are not this member's any more. With `lost`, somebody else may already work on them.
    case revoked([TopicPartition], lost: Bool)
}

/// A topic to create.
public struct TopicSpecification: Sendable, Equatable {
    /// What becomes of old records.
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
    /// What becomes of old records.
    public var cleanup: Cleanup

    /// Makes a specification.
    public init(name: String, partitionCount: Int32, cleanup: Cleanup) {
        self.name = name
        self.partitionCount = partitionCount
        self.cleanup = cleanup
    }
}
