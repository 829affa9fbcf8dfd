internal import CRdkafka
internal import Concurrency
internal import MessageLogs

/// A reader of topics: a member of a group, or alone.
///
/// All of its calls of librdkafka block, on this actor's own thread. librdkafka's thread keeps the member alive in its
/// group meanwhile, also while nobody asks for the next event. What an event means is decided by `GroupState`; what is here
/// only performs its actions.
actor KafkaSubscription: Subscription {
    private let executor = BlockingExecutor(label: "kafka.subscription")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let options: SubscriptionOptions
    /// The member's own client; once it is ended, no call of librdkafka may follow.
    nonisolated let client: KafkaClient
    /// For outputs of a reader whose offsets are not the log's.
    let appender: ProducerPool
    nonisolated let requests = SubscriptionRequests()
    var group: GroupState
    var records: RecordCollector
    let producer: MemberProducer
    let recovery: CommitRecovery
    var advisory = AdvisoryCommits()

    init(
        _ configuration: KafkaConfiguration,
        options: SubscriptionOptions,
        appender: ProducerPool
    ) throws(StreamError) {
        self.options = options
        self.appender = appender
        client = try KafkaClient(
            configuration,
            role: .subscriber(
                group: options.groupName ?? options.memberName,
                isMember: options.groupName != nil,
                sessionTimeout: options.sessionTimeout
            ),
            name: options.memberName
        )
        group = GroupState(pausesNewPartitions: options.pausesNewPartitions)
        records = RecordCollector(client, topics: options.topics, maximumCount: options.maximumBatchCount)
        producer = MemberProducer(
            configuration,
            id: options.transactionalId ?? options.memberName,
            timeout: options.transactionTimeout,
            requests
        )
        recovery = CommitRecovery(client, options, producer, requests)
    }

    /// Joins the group; earlier processes with this member name are fenced first.
    func join() throws(StreamError) {
        if options.groupName != nil {
            // A coordinator that has just started loads its log first.
            try producer.open(until: .now + max(.seconds(30), client.configuration.connectTimeout))
            try recovery.clearUpAfterPredecessor()
        }
        let topics = PartitionList(options.topics.map { TopicPartition($0, -1) })
        let code = rd_kafka_subscribe(client.handle, topics.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "subscribe to \(options.topics)"))
        }
    }

    /// Reads given partitions without a group.
    func follow(from offsets: [TopicPartition: Int64]) throws(StreamError) {
        _ = try perform(group.handle(.followed(offsets)))
    }

    // MARK: - Events

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
        guard !client.hasEnded else { return nil }
        commitAdvisoryIfDue()
        try checkLastCommit()
        _ = try perform(group.handle(.nextRequested))
        while !requests.isClosing, !Task.isCancelled {
            let actions = nextActions()
            if !actions.isEmpty {
                if let event = try perform(actions) { return event }
                continue
            }
            if let found = try records.collect(&group, patience: 100, linger: options.linger) {
                return .batch(Batch(records: found))
            }
            commitAdvisoryIfDue(isIdle: true)
            try checkLastCommit()
        }
        return nil
    }

    /// What librdkafka has fetched already; a commit that is under way is waited for, for it has this actor's thread.
    func readyBatch() throws(StreamError) -> Batch? {
        guard !client.hasEnded, !requests.isClosing, group.isSettled else { return nil }
        commitAdvisoryIfDue()
        while case let actions = nextActions(), !actions.isEmpty { _ = try perform(actions) }
        return try records.collect(&group, patience: 0, linger: .zero).map { Batch(records: $0) }
    }

    /// Lets records flow after `.assigned`, for a reader that keeps its offsets itself.
    func start(at offsets: [TopicPartition: Int64]) throws(StreamError) {
        guard !client.hasEnded else { throw .closed }
        _ = try perform(group.handle(.started(offsets)))
    }

    /// Lets records of partitions flow that are paused.
    ///
    /// Floors count, because a coordinator of Kafka 4.3.1 that was led anew while it loaded its offsets may tell old ones.
    nonisolated func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64]) {
        requests.resume(partitions, notBefore: floors)
        client.wake()
    }

    // MARK: - Actions

    func nextActions() -> [GroupState.Action] {
        takeResumed()
        return group.handle(.idle(isLost: client.isAssignmentLost, now: .now))
    }

    /// Those of partitions that are not paused now belong to an earlier assignment, and are passed over.
    private func takeResumed() {
        guard options.holdsNewPartitions, case let resumed = requests.takeResumed(), !resumed.isEmpty else { return }
        _ = group.handle(.resumed(resumed))
    }

    /// Does what the group's state demands, and gives what the flow is to be told.
    func perform(_ actions: [GroupState.Action]) throws(StreamError) -> SubscriptionEvent? {
        var event: SubscriptionEvent?
        for action in actions {
            switch action {
            case .change(let change): try client.make(change)
            case .awaitEmptyAssignment: try awaitEmptyAssignment()
            case .readStarts(let partitions):
                let starts = try startingOffsets(of: partitions)
                takeResumed()
                event = try perform(group.handle(.startsRead(starts)))
            case .readEnds(let partitions): _ = try perform(group.handle(.endsRead(try ends(of: partitions))))
            case .noteAdvisory(let offsets): advisory.note(offsets)
            case .commitAdvisory(let partitions): commitLastAdvisory(of: partitions)
            case .discardRecords: records.discard(group)
            case .tellAssigned(let partitions): event = .assigned(partitions)
            case .tellRevoked(let partitions, let lost): event = .revoked(partitions, lost: lost)
            case .fail(let error): throw error
            }
        }
        return event
    }

    /// Waits for the assignment of nothing with which librdkafka ends a cooperative revocation, and answers it: before that
    /// it does not join the group again, and nobody gets what was given up, however long the flow takes until it asks again.
    private func awaitEmptyAssignment() throws(StreamError) {
        let deadline = ContinuousClock.now + .seconds(1)
        while client.rebalanceProtocol == .cooperative, !group.hasRebalance, ContinuousClock.now < deadline {
            records.stashNext(&group)
        }
        _ = try perform(group.handle(.emptyAssignmentAwaited))
    }

    /// What is committed, and the first offset that is there.
    ///
    /// A broker that restarts is waited for.
    private func startingOffsets(
        of partitions: [TopicPartition]
    ) throws(StreamError) -> [TopicPartition: StartingOffset] {
        try requests.retrying(until: .now + .seconds(60)) { () throws(StreamError) in
            var committed: [TopicPartition: CommittedOffset] = [:]
            if options.commitsToGroup {
                // While its offsets are as the last commit left them.
                _ = group.handle(.commitFailed(try recovery.check(until: .now)))
                committed = try recovery.currentOffsets(of: partitions)
            }
            var starts: [TopicPartition: StartingOffset] = [:]
            for partition in partitions {
                let low = try client.watermarks(of: partition, timeout: 5_000).lowerBound
                starts[partition] = StartingOffset(committed: committed[partition]?.offset, low: low)
            }
            return starts
        }
    }

    private func ends(of partitions: [TopicPartition]) throws(StreamError) -> [TopicPartition: Int64] {
        try requests.retrying(until: .now + .seconds(60)) { () throws(StreamError) in
            var ends: [TopicPartition: Int64] = [:]
            for partition in partitions {
                ends[partition] = try client.watermarks(of: partition, timeout: 5_000).upperBound
            }
            return ends
        }
    }

    // MARK: - Leaving

    /// Leaves the group; partitions go to others at once.
    nonisolated func close() async {
        requests.close()
        client.wake()
        await leave()
    }

    private func leave() {
        guard !client.hasEnded else { return }
        commitLastAdvisory(of: group.owned)
        // What stays open when this fails is for the next process of this name.
        _ = try? recovery.check(until: .now)
        producer.close()
        client.endMembership(until: .now + .seconds(10))
    }

    deinit {
        // A member that nobody closed would hold its partitions for ever.
        client.endMembership(until: .now + .seconds(5))
    }
}
