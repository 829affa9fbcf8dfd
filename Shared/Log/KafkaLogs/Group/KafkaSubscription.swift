internal import CRdkafka
internal import Concurrency
internal import MessageLogs
internal import Synchronization

/// A reader of topics: a member of a group, or alone.
///
/// All of its calls of librdkafka block, on this actor's own thread. librdkafka's thread keeps the member alive in its
/// group meanwhile, also while nobody asks for the next event, but for `max.poll.interval.ms` only. A rebalance is dealt
/// with when the flow asks for the next event, or for what is due beside records: until then the group waits, and nobody
/// else gets the partitions of the batch at hand. Records of new partitions are fetched when the flow asks for the event
/// that follows `.assigned`.
actor KafkaSubscription: Subscription {
    /// What the group is to be told when the flow asks for the next event.
    enum Answer {
        case assign([TopicPartition: Int64])
        case revoke([TopicPartition])
    }

    /// A rebalance as it came from the queue.
    struct Rebalance {
        var isAssignment: Bool
        var partitions: [TopicPartition]
    }

    private let executor = BlockingExecutor(label: "kafka.subscription")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let configuration: KafkaConfiguration
    let options: SubscriptionOptions
    nonisolated let client: KafkaClient
    /// For outputs of a reader whose offsets are not the log's.
    let appender: KafkaProducer
    private nonisolated let isClosing = Atomic<Bool>(false)
    /// The client is ended; no call of librdkafka may follow.
    private(set) var isClosed = false
    /// Somebody waits for the end, so nothing may be waited for any more.
    nonisolated var isEnding: Bool { isClosing.load(ordering: .acquiring) }

    /// Partitions the flow was told are its own, and not yet told are not.
    var owned: Set<TopicPartition> = []
    /// Partitions librdkafka fetches for us.
    var fetched: Set<TopicPartition> = []
    /// The offset to deliver next of each partition that may deliver.
    var positions: [TopicPartition: Int64] = [:]
    /// What is owed to the group.
    var answer: Answer?
    /// A rebalance that came while a batch was being collected.
    var held: Rebalance?
    /// Assigned, and waiting for `start` or `resume`, with the lowest offset each may start at.
    var unstarted: [TopicPartition: Int64] = [:]
    /// Of those, the ones that the flow resumed, and what it knows to be behind the group; it may do so from any thread.
    nonisolated let resumed = Mutex<[TopicPartition: Int64]>([:])
    /// Of a commit that failed: to be given up towards the flow.
    var refused: Set<TopicPartition> = []
    /// Given up after a failed commit, to be assigned again unless a rebalance takes them.
    var dropped: Set<TopicPartition> = []
    /// Until when a rebalance is expected that takes the dropped ones.
    var expectsRebalanceUntil = ContinuousClock.now
    /// The reader follows all partitions, and the flow has not been told yet.
    private var announces = false

    var transactions: TransactionalProducer?
    var transactionalId = ""
    var commitCount = 0
    /// The last commit that succeeded, while a crash of the broker may still undo it.
    var lastCommit: Commit?
    /// A connection or a producer was lost since, so that something may have been left open.
    var isInDoubt = false
    /// When the broker may be asked about it again.
    var clearableFrom = ContinuousClock.now
    /// Topics that commits write to.
    var outputTopics: Set<String>
    /// When another producer, or the broker, last took this one's place.
    var fencedAt: ContinuousClock.Instant?
    /// How far a reader that keeps its offsets itself is, where the log was not told yet.
    var advice: [TopicPartition: Int64] = [:]
    /// When the log was told last.
    var advisedAt = ContinuousClock.now
    /// Before this nothing is told: a producer was lost.
    var advisableFrom = ContinuousClock.now

    /// Records that came while a rebalance was waited for; the next batch begins with them.
    var stash: [Record] = []

    private var reader = RecordReader()
    private var failure: StreamError?

    init(
        _ configuration: KafkaConfiguration,
        options: SubscriptionOptions,
        appender: KafkaProducer
    ) throws(StreamError) {
        self.configuration = configuration
        self.options = options
        self.appender = appender
        outputTopics = Set(options.outputTopics)
        let (group, isMember) = options.groupName.map { ($0, true) } ?? (options.memberName, false)
        client = try KafkaClient(
            configuration,
            role: .subscriber(group: group, isMember: isMember, sessionTimeout: options.sessionTimeout),
            name: options.memberName
        )
    }

    /// Joins the group; earlier processes with this member name are fenced first.
    func join() throws(StreamError) {
        if let group = options.groupName {
            transactionalId = "\(group)-\(options.memberName)"
            // A coordinator that has just started loads its log first.
            try openTransactions(until: .now + max(.seconds(30), configuration.connectTimeout))
            try clearUpAfterPredecessor()
        }
        let topics = PartitionList(options.topics.map { TopicPartition($0, -1) })
        let code = rd_kafka_subscribe(client.handle, topics.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "subscribe to \(options.topics)"))
        }
    }

    /// Reads given partitions without a group.
    func follow(from offsets: [TopicPartition: Int64]) throws(StreamError) {
        let list = PartitionList(offsets)
        let code = rd_kafka_assign(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "assign \(options.topics)"))
        }
        owned = Set(offsets.keys)
        positions = offsets
        announces = true
    }

    /// Waits for the next event; nil after `close`, or when the task is cancelled.
    nonisolated func next() async throws(StreamError) -> SubscriptionEvent? {
        try await withTaskCancellationHandler {
            await nextResult()
        } onCancel: {
            client.wake()
        }.get()
    }

    private func nextResult() -> Result<SubscriptionEvent?, StreamError> {
        Result { () throws(StreamError) in try waitForNext() }
    }

    private func waitForNext() throws(StreamError) -> SubscriptionEvent? {
        guard !isClosed else { return nil }
        giveAdvice()
        try clearDoubtIfPossible()
        try settle()
        if announces {
            announces = false
            return .assigned(Self.sorted(owned))
        }
        while !isEnding, !Task.isCancelled {
            if let event = giveUpRefused() { return event }
            if let rebalance = held {
                if let event = try take(rebalance) { return event }
                continue
            }
            if let event = try regainDropped() { return event }
            try startResumed()
            if let records = try collect(patience: 100, linger: options.linger) {
                return .batch(Batch(records: records))
            }
            giveAdvice(isIdle: true)
            try clearDoubtIfPossible()
        }
        return nil
    }

    /// What librdkafka has fetched already; a commit that is under way is waited for, for it has this actor's thread.
    func readyBatch() throws(StreamError) -> Batch? {
        guard !isClosed, !isEnding, !announces, answer == nil, held == nil, refused.isEmpty, dropped.isEmpty else {
            return nil
        }
        giveAdvice()
        try startResumed()
        return try collect(patience: 0, linger: .zero).map { Batch(records: $0) }
    }

    /// Lets records flow after `.assigned`, for a reader that keeps its offsets itself.
    func start(at offsets: [TopicPartition: Int64]) throws(StreamError) {
        guard !isClosed else { throw .closed }
        var starts: [TopicPartition: Int64] = [:]
        for (partition, low) in unstarted {
            let offset = offsets[partition] ?? low
            guard offset >= low else { throw .offsetGone(partition, committed: offset, low: low) }
            starts[partition] = offset
        }
        unstarted = [:]
        // Whoever had them before may have ended between its commit and its advice.
        note(advice: starts)
        if case .assign = answer {
            answer = .assign(starts)
        } else {
            try fetch(starts)
        }
    }

    /// Lets records of partitions flow that are held.
    ///
    /// Floors count, because a coordinator of Kafka 4.3.1 that was led anew while it loaded its offsets may tell old ones.
    nonisolated func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64]) {
        resumed.withLock { resumed in
            for partition in partitions { resumed[partition] = floors[partition] ?? 0 }
        }
        client.wake()
    }

    /// Leaves the group; partitions go to others at once.
    nonisolated func close() async {
        isClosing.store(true, ordering: .releasing)
        client.wake()
        await leave()
    }

    // MARK: - Batches

    /// Collects records until the batch is full or has waited long enough, or a rebalance comes.
    ///
    /// Patience, in milliseconds, is for the first record, linger for more after it; nil when none came.
    private func collect(patience: Int32, linger: Duration) throws(StreamError) -> [Record]? {
        var records = Array(stash.prefix(options.maximumBatchCount))
        stash.removeFirst(records.count)
        var deadline = ContinuousClock.now + linger
        while records.count < options.maximumBatchCount, held == nil, failure == nil {
            let timeout = records.isEmpty ? patience : max(0, (deadline - .now).milliseconds)
            let wasEmpty = records.isEmpty
            guard client.poll(timeout, { take($0, into: &records) }) != nil else { break }
            if wasEmpty, !records.isEmpty { deadline = .now + linger }
        }
        if records.isEmpty, let failure {
            self.failure = nil
            throw failure
        }
        return records.isEmpty ? nil : records
    }

    /// Waits for an event, and keeps records that come meanwhile; false when none came.
    @discardableResult
    func stashNext(_ milliseconds: Int32 = 100) -> Bool {
        client.poll(milliseconds) { take($0, into: &stash) } != nil
    }

    private func take(_ event: OpaquePointer, into records: inout [Record]) {
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_FETCH:
            while let message = rd_kafka_event_message_next(event) {
                guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                    let source = reader.source(of: message.pointee)
                    take(KafkaError(message.pointee.err, operation: "read \(source)"), at: source)
                    continue
                }
                take(message, into: &records)
            }
        case RD_KAFKA_EVENT_REBALANCE:
            held = Self.rebalance(in: event)
        case RD_KAFKA_EVENT_ERROR:
            var source: TopicPartition?
            if let list = rd_kafka_event_topic_partition(event) {
                source = TopicPartition(String(cString: list.pointee.topic), list.pointee.partition)
                rd_kafka_topic_partition_destroy(list)
            }
            let operation = source.map { "read \($0)" } ?? "read \(options.topics)"
            take(client.note(event, operation: operation), at: source)
        default:
            break
        }
    }

    private func take(_ message: UnsafePointer<rd_kafka_message_t>, into records: inout [Record]) {
        let source = reader.source(of: message.pointee)
        let offset = message.pointee.offset
        // What was fetched before a revocation or a step back may still be on its way.
        guard let position = positions[source], offset >= position else { return }
        positions[source] = offset + 1
        if !reader.isFiller(message) { records.append(reader.record(message, source: source)) }
    }

    /// Most errors pass by themselves: librdkafka goes on trying, and the next event just comes later.
    private func take(_ error: KafkaError, at partition: TopicPartition?) {
        switch error.code {
        case .autoOffsetReset, .offsetOutOfRange:
            guard let partition, let position = positions[partition] else { return }
            failure = gone(partition, position)
        case .unknownTopicOrPartition, .localUnknownTopic:
            failure = .unknownTopic(partition?.topic ?? options.topics.joined(separator: ", "))
        case let code where KafkaError.Code.configurationFaults.contains(code):
            failure = error.streamError(brokers: configuration.brokerList)
        default:
            if error.isFatal { failure = .fatal(error.description) }
        }
    }

    private func gone(_ partition: TopicPartition, _ position: Int64) -> StreamError? {
        do throws(StreamError) {
            let range = try client.watermarks(of: partition, timeout: configuration.connectTimeout.milliseconds)
            if position < range.lowerBound {
                return .offsetGone(partition, committed: position, low: range.lowerBound)
            }
            return .fatal(
                "\(partition): offset \(position) is past the end \(range.upperBound); was the topic made anew? "
                    + "Give the group another name, or reset its offsets"
            )
        } catch {
            return error
        }
    }

    // MARK: - Leaving

    private func leave() {
        guard !isClosed else { return }
        giveLastAdvice(of: owned)
        try? clearDoubt(until: .now)
        isClosed = true
        transactions = nil
        client.endMembership(until: .now + .seconds(10))
    }

    deinit {
        // A member that nobody closed would hold its partitions for ever.
        client.endMembership(until: .now + .seconds(5))
    }

    private static func rebalance(in event: OpaquePointer) -> Rebalance {
        var partitions: [TopicPartition] = []
        if let list = rd_kafka_event_topic_partition_list(event) {
            partitions = PartitionList.elements(of: list).map(\.partition)
        }
        return Rebalance(
            isAssignment: rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
            partitions: partitions
        )
    }

    static func sorted(_ partitions: some Sequence<TopicPartition>) -> [TopicPartition] {
        partitions.sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }
}

extension SubscriptionOptions {
    /// The group's name; nil for a reader without one.
    var groupName: String? {
        switch membership {
        case .group(let name), .groupWithOwnOffsets(let name): name
        case .tail: nil
        }
    }

    /// How long a transaction may take: it must be over before others may have the partitions.
    var transactionTimeout: Duration {
        max(.seconds(1), sessionTimeout * 4 / 5)
    }
}
