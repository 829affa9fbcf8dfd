internal import CRdkafka
internal import MessageLogs

/// A commit, as far as it is needed to find out what became of it.
struct Commit {
    /// The offsets it commits.
    var offsets: [TopicPartition: Int64]
    /// What is written beside them, and beside no others.
    var note: String
    /// One of its outputs; nil when none has a place that is known.
    let witness: OutgoingRecord?
    /// When it began, in milliseconds since 1970.
    let startedAt: Int64
    /// The broker said that it happened, so what came after it may be built on it.
    var isAcknowledged = false

    /// Describes a commit that begins now.
    init(offsets: [TopicPartition: Int64], note: String, outputs: [OutgoingRecord]) {
        self.offsets = offsets
        self.note = note
        witness = outputs.last { $0.value != nil && ($0.partition != nil || $0.key != nil) }
        startedAt = KafkaClient.milliseconds
    }
}

/// What became of a commit whose answer did not come, or that came before the broker crashed.
///
/// Transactions should make this simple: the group's offsets tell. But a broker of Kafka 4.3.1 that is killed in the middle
/// of a commit, or away for longer than a transaction may take, can call the transaction complete without having ended it
/// in some or all of its partitions (KAFKA-20734). There its offsets stay unstable, so that nobody can read the group's
/// offsets, or its records stay open, so that their readers wait, until the same transactional id writes there again; and
/// how that transaction ends decides over the old records too. So what is open is ended here, in the way the commit ended.
extension KafkaSubscription {
    /// How long offsets may stay unstable until they are taken to be forgotten.
    private static let patience: Int32 = 3_000

    /// Lets go of a producer that is of no use any more; the next call opens another.
    func dropTransactions(because error: KafkaError) {
        transactions = nil
        isInDoubt = true
        guard error.isFenced else { return }
        // Mostly it was the broker, to end a transaction that took too long, and the same id is needed to clear up after
        // it. Two that fence each other would go on for ever: under another id the group's generation still keeps a
        // zombie's commit out.
        if let fencedAt, fencedAt > .now - .seconds(60) {
            transactionalId = "\(transactionalId.prefix(200))-\(UInt32.random(in: 0 ... .max))"
        }
        fencedAt = .now
    }

    /// Ends what an earlier process of this name may have left open.
    ///
    /// A commit with neither offsets nor outputs ended is taken back and done again. Where only outputs are open it cannot
    /// be told any more how it ended; they count, or something might be lost.
    func clearUpAfterPredecessor() throws(StreamError) {
        guard !outputTopics.isEmpty, case .group = options.membership else { return }
        let deadline = ContinuousClock.now + max(.seconds(30), configuration.connectTimeout)
        try untilAvailable(deadline) { () throws(StreamError) in
            if try !openPartitions().isEmpty {
                var inputs: [TopicPartition] = []
                for topic in options.topics { inputs += try partitions(of: topic) }
                let isStable = (try? client.committedOffsets(of: inputs, timeout: Self.patience)) != nil
                try endOpenRecords(committing: isStable)
            }
            try touchOffsets()
        }
        isInDoubt = false
    }

    /// Learns whether a commit happened whose answer did not come.
    func resolve(_ commit: Commit, because error: KafkaError) throws(StreamError) {
        dropTransactions(because: error)
        lastCommit = commit
        let isCommitted = try isCommitted(commit, until: .now + .seconds(60))
        (lastCommit, isInDoubt) = (nil, false)
        guard isCommitted else { throw .commitRefused(error.description) }
    }

    /// After the loss of a connection, looks whether the last commit is still there, and ends whatever is open.
    ///
    /// The partitions of a commit that is not there are given up, and it is all done again.
    /// - Throws: `.unavailable` when the broker does not tell by the deadline; it is asked again the next time.
    func clearDoubt(until deadline: ContinuousClock.Instant) throws(StreamError) {
        guard case .group = options.membership else { return }
        if transactions?.takeConnectionLoss() == true { isInDoubt = true }
        guard isInDoubt else { return }
        if let commit = lastCommit {
            if try !isCommitted(commit, until: deadline) {
                refused.formUnion(owned.intersection(commit.offsets.keys))
            }
        } else {
            try untilAvailable(deadline) { () throws(StreamError) in
                try endOpenRecords(committing: false)
                try touchOffsets()
            }
        }
        (lastCommit, isInDoubt) = (nil, false)
    }

    /// The same where nothing is lost by waiting: at most once a second while the broker is away.
    func clearDoubtIfPossible() throws(StreamError) {
        guard ContinuousClock.now >= clearableFrom else { return }
        do throws(StreamError) {
            try clearDoubt(until: .now)
        } catch {
            guard case .unavailable = error else { throw error }
            clearableFrom = .now + .seconds(1)
        }
    }

    /// What the group has committed, as of now.
    ///
    /// The write makes certain that the coordinator has loaded its offsets, and ends what is unstable.
    func committedOffsets(
        of partitions: some Sequence<TopicPartition>
    ) throws(StreamError) -> [TopicPartition: PartitionList.Element] {
        try touchOffsets()
        return try client.committedOffsets(of: partitions, timeout: 5_000)
    }

    // MARK: - The verdict

    private func isCommitted(
        _ commit: Commit,
        until deadline: ContinuousClock.Instant
    ) throws(StreamError) -> Bool {
        guard !commit.offsets.isEmpty else { return false }
        return try untilAvailable(deadline) { () throws(StreamError) in try isCommitted(commit) }
    }

    private func isCommitted(_ commit: Commit) throws(StreamError) -> Bool {
        // Another producer of this id: the broker ends what it knows to be open before it answers.
        try withTransactions { _ throws(TransactionFailure) in }
        let partitions = commit.offsets.keys
        var committed = try? client.committedOffsets(of: partitions, timeout: Self.patience)
        if let found = committed {
            if !commit.isAmong(found) { committed = try committedOffsets(of: partitions) }
        } else if try isNext(commit), try isVisible(commit) {
            // Only its offsets were forgotten.
            try commitAgain(commit)
            committed = try client.committedOffsets(of: partitions, timeout: Self.patience)
        }
        let isCommitted = committed.map { commit.isAmong($0) } ?? false
        try endOpenRecords(committing: isCommitted)
        if committed != nil {
            // Offsets of partitions that others may have by now would else come with the next commit.
            try touchOffsets()
            return isCommitted
        }
        return commit.isAmong(try committedOffsets(of: partitions))
    }

    /// Whether the group is still before the commit, whatever is open; while its offsets are unstable nobody goes on.
    private func isNext(_ commit: Commit) throws(StreamError) -> Bool {
        let found = try onlooking { onlooker throws(StreamError) in
            try onlooker.committedOffsets(of: commit.offsets.keys, timeout: Self.patience)
        }
        // A commit may say an offset again, and then only its note tells it from the one before.
        return commit.offsets.allSatisfy { partition, offset in
            guard let known = found[partition] else { return true }
            return known.offset < offset || known.offset == offset && known.note != commit.note
        }
    }

    private func endOpenRecords(committing isCommit: Bool) throws(StreamError) {
        let open = try openPartitions()
        guard !open.isEmpty else { return }
        try withTransactions { transactions throws(TransactionFailure) in
            try transactions.endOpenRecords(in: open, committing: isCommit)
        }
    }

    /// Partitions that commits write to and that hold records nobody has ended, be it because somebody is just at work.
    private func openPartitions() throws(StreamError) -> [TopicPartition] {
        try onlooking { onlooker throws(StreamError) in
            var open: [TopicPartition] = []
            for topic in outputTopics.sorted() {
                for partition in try partitions(of: topic) {
                    let stable = try client.watermarks(of: partition, timeout: 5_000).upperBound
                    let end = try onlooker.watermarks(of: partition, timeout: 5_000).upperBound
                    if stable < end { open.append(partition) }
                }
            }
            return open
        }
    }

    /// None of a topic that is missing, which is told of when it is read or written.
    private func partitions(of topic: String) throws(StreamError) -> [TopicPartition] {
        (0..<(try client.partitionCount(of: topic) ?? 0)).map { TopicPartition(topic, $0) }
    }

    private func onlooking<Value>(_ body: (KafkaClient) throws(StreamError) -> Value) throws(StreamError) -> Value {
        let onlooker = try KafkaClient(
            configuration,
            role: .onlooker(group: options.groupName ?? options.memberName),
            name: "\(options.memberName)-onlooker"
        )
        defer { onlooker.end() }
        return try body(onlooker)
    }

    /// Takes back the offsets of this producer's id that nobody has ended, by a write to an offset that nobody reads.
    private func touchOffsets() throws(StreamError) {
        guard let group = options.groupName else { return }
        // Not to one of its own: a worker may write to the topic that it reads.
        for topic in outputTopics.subtracting(options.topics).sorted() {
            guard let partition = try partitions(of: topic).first else { continue }
            return try withTransactions { transactions throws(TransactionFailure) in
                try transactions.touchOffsets(of: group, at: partition)
            }
        }
    }

    /// Nobody else has gone on from there: its offsets were unstable, so nobody could read any.
    private func commitAgain(_ commit: Commit) throws(StreamError) {
        guard let group = options.groupName else { return }
        let metadata = rd_kafka_consumer_group_metadata_new(group)
        defer { rd_kafka_consumer_group_metadata_destroy(metadata) }
        guard let metadata else { return }
        try withTransactions { transactions throws(TransactionFailure) in
            try transactions.run([], offsets: PartitionList(commit.offsets, note: commit.note), member: metadata)
        }
    }

    /// Whether readers see the commit's outputs.
    private func isVisible(_ commit: Commit) throws(StreamError) -> Bool {
        guard let witness = commit.witness else { return false }
        let topic = try client.topic(witness.topic)
        var number = witness.partition
        if number == nil, let key = witness.key, let count = try client.partitionCount(of: witness.topic) {
            number = rd_kafka_msg_partitioner_murmur2(topic.pointer, key, key.count, count, nil, nil)
        }
        guard let number else { return false }
        return try CommittedTail(configuration, TopicPartition(witness.topic, number)).contains {
            // The headers too: of a record that was sent on they alone tell it from another of the same event.
            $0.timestamp >= commit.startedAt && $0.key == witness.key && $0.value == witness.value
                && $0.headers == witness.headers
        }
    }

    // MARK: - Trying

    private func withTransactions(
        _ body: (TransactionalProducer) throws(TransactionFailure) -> Void
    ) throws(StreamError) {
        do throws(TransactionFailure) {
            try body(try openedTransactions())
        } catch {
            switch error {
            case .invalid(let error): throw error
            case .aborted(let error): throw error.streamError(brokers: configuration.brokerList)
            case .doubtful(let error):
                dropTransactions(because: error)
                throw .unavailable("Kafka at \(configuration.brokerList): \(error)")
            }
        }
    }

    /// Tries again while the broker is away, until the deadline or the end of the subscription.
    func untilAvailable<Value>(
        _ deadline: ContinuousClock.Instant,
        _ body: () throws(StreamError) -> Value
    ) throws(StreamError) -> Value {
        while true {
            do throws(StreamError) {
                return try body()
            } catch {
                guard case .unavailable = error, ContinuousClock.now < deadline, !isEnding else { throw error }
                KafkaClient.pause(milliseconds: 50)
            }
        }
    }
}

extension Commit {
    /// Whether these are its offsets, with its note, or those of somebody who went on from there.
    fileprivate func isAmong(_ committed: [TopicPartition: PartitionList.Element]) -> Bool {
        offsets.allSatisfy { partition, offset in
            guard let found = committed[partition] else { return false }
            return found.offset == offset && found.note == note || isAcknowledged && found.offset > offset
        }
    }
}
