internal import CRdkafka
internal import MessageLogs

/// Finds out how a commit ended whose answer did not come, or that came before the broker crashed.
///
/// Transactions should make this simple: the group's offsets tell. But a broker of Kafka 4.3.1 that is killed in the middle
/// of a commit, or away for longer than a transaction may take, can call the transaction complete without having ended it
/// in some or all of its partitions (KAFKA-20734). There its offsets stay unstable, so that nobody can read the group's
/// offsets, or its records stay open, so that their readers wait, until the same transactional id writes there again; and
/// how that transaction ends decides over the old records too. So what is open is ended here, in the way the commit ended.
///
/// Used by one thread at a time, its calls block.
final class CommitRecovery {
    let client: KafkaClient
    let options: SubscriptionOptions
    let producer: MemberProducer
    let requests: SubscriptionRequests
    /// Topics that commits write to.
    private(set) var outputTopics: Set<String>
    private var commitCount = 0
    /// The last commit that succeeded, while a crash of the broker may still undo it, or whose outcome is unknown.
    var lastCommit: PendingCommit?
    /// When the broker may be asked about it again.
    private var nextCheck = ContinuousClock.now

    /// Prepares for the commits of a client that is a member, or will be.
    init(
        _ client: KafkaClient,
        _ options: SubscriptionOptions,
        _ producer: MemberProducer,
        _ requests: SubscriptionRequests
    ) {
        self.client = client
        self.options = options
        self.producer = producer
        self.requests = requests
        outputTopics = Set(options.outputTopics)
    }

    // MARK: - Commits

    /// Describes a commit that begins now.
    func begin(_ offsets: [TopicPartition: Int64], _ outputs: [OutgoingRecord]) -> PendingCommit {
        outputTopics.formUnion(outputs.map(\.topic))
        commitCount += 1
        return PendingCommit(
            offsets: offsets,
            metadata: "\(options.memberName) \(UInt64.random(in: 0 ... .max)) \(commitCount)",
            outputs: outputs,
            startedAt: KafkaClient.milliseconds
        )
    }

    /// Takes note that the broker said that a commit happened.
    func acknowledge(_ commit: PendingCommit) {
        lastCommit = commit
        lastCommit?.isAcknowledged = true
        producer.isInDoubt = producer.takeConnectionLoss()
    }

    /// Learns how a commit ended whose answer did not come.
    ///
    /// One that stays unknown is the last commit until Kafka has said.
    func outcome(of commit: PendingCommit, because error: KafkaError) throws(StreamError) -> CommitOutcome {
        producer.replace(because: error)
        lastCommit = commit
        let outcome = try outcome(of: commit, until: .now + .seconds(60))
        switch outcome {
        case .committed, .aborted: (lastCommit, producer.isInDoubt) = (nil, false)
        case .unknown: break
        }
        return outcome
    }

    /// After the loss of a connection, looks whether the last commit is still there, and ends whatever is open.
    ///
    /// - Returns: the partitions of a commit that is not there; it is all to be done again.
    /// - Throws: `.unavailable` when the broker does not tell by the deadline; it is asked again the next time.
    func check(until deadline: ContinuousClock.Instant) throws(StreamError) -> Set<TopicPartition> {
        guard options.commitsToGroup else { return [] }
        producer.noteConnectionLoss()
        guard producer.isInDoubt else { return [] }
        var lost: Set<TopicPartition> = []
        if let commit = lastCommit {
            switch try outcome(of: commit, until: deadline) {
            case .committed: break
            case .aborted: lost = Set(commit.offsets.keys)
            case .unknown(let silence): throw silence
            }
        } else {
            try requests.retrying(until: deadline) { () throws(StreamError) in
                try endOpenRecords(committing: false)
                try touchOffsets()
            }
        }
        (lastCommit, producer.isInDoubt) = (nil, false)
        return lost
    }

    /// The same, at most once a second while the broker is away.
    func checkIfPossible() throws(StreamError) -> Set<TopicPartition> {
        guard ContinuousClock.now >= nextCheck else { return [] }
        do throws(StreamError) {
            return try check(until: .now)
        } catch {
            guard case .unavailable = error else { throw error }
            nextCheck = .now + .seconds(1)
            return []
        }
    }

    /// Ends what an earlier process of this name may have left open.
    ///
    /// A commit with neither offsets nor outputs ended is taken back and done again. Where only outputs are open it cannot
    /// be told any more how it ended; they count, or something might be lost.
    func clearUpAfterPredecessor() throws(StreamError) {
        guard !outputTopics.isEmpty, options.commitsToGroup else { return }
        let deadline = ContinuousClock.now + max(.seconds(30), client.configuration.connectTimeout)
        try requests.retrying(until: deadline) { () throws(StreamError) in
            if try !openPartitions().isEmpty {
                var inputs: [TopicPartition] = []
                for topic in options.topics { inputs += try partitions(of: topic) }
                switch try groupOffsets(of: inputs) {
                case .stable: try endOpenRecords(committing: true)
                case .pending: try endOpenRecords(committing: false)
                }
            }
            try touchOffsets()
        }
        producer.isInDoubt = false
    }

    // MARK: - The outcome

    private func outcome(
        of commit: PendingCommit,
        until deadline: ContinuousClock.Instant
    ) throws(StreamError) -> CommitOutcome {
        guard !commit.offsets.isEmpty else { return .aborted }
        do throws(StreamError) {
            return try requests.retrying(until: deadline) { () throws(StreamError) in try askOutcome(of: commit) }
        } catch {
            guard case .unavailable = error else { throw error }
            return .unknown(error)
        }
    }

    private func askOutcome(of commit: PendingCommit) throws(StreamError) -> CommitOutcome {
        // Another producer of this id: the broker ends what it knows to be open before it answers.
        try producer.use { _ throws(TransactionFailure) in }
        let partitions = commit.offsets.keys
        let outcome: CommitOutcome
        switch commit.verdict(by: try groupOffsets(of: partitions)) {
        case .committed: outcome = .committed
        case .asksAgain: outcome = commit.outcome(byCurrent: try currentOffsets(of: partitions))
        case .asksOutputs where try isVisible(commit):
            // Only its offsets were forgotten.
            try commitAgain(commit)
            outcome = commit.outcome(byCurrent: try client.committedOffsets(of: partitions, timeout: Self.patience))
        case .asksOutputs, .superseded:
            // What is open goes, and the offsets tell for certain.
            try endOpenRecords(committing: false)
            return commit.outcome(byCurrent: try currentOffsets(of: partitions))
        }
        try endOpenRecords(committing: outcome == .committed)
        // Offsets of partitions that others may have by now would else come with the next commit.
        try touchOffsets()
        return outcome
    }
}
