internal import CRdkafka
internal import MessageLogs

/// The questions and the clearing up, each of which can be done again.
extension CommitRecovery {
    /// How long offsets may stay unstable until they are taken to be forgotten.
    static let patience: Int32 = 3_000

    // MARK: - Offsets

    /// What the group has committed, as of now.
    ///
    /// The write makes certain that the coordinator has loaded its offsets, and ends what is unstable.
    func currentOffsets(
        of partitions: some Sequence<TopicPartition>
    ) throws(StreamError) -> [TopicPartition: CommittedOffset] {
        try touchOffsets()
        return try client.committedOffsets(of: partitions, timeout: 5_000)
    }

    /// What the group has committed, and whether a transaction that is open for too long could change it.
    ///
    /// librdkafka asks again and again for offsets that are unstable (librdkafka#3265), so the question times out like one
    /// to a coordinator that is away or loading. These two must not be mixed up, for what is done about unstable offsets
    /// takes outputs back. A reader of uncommitted data gets its answer whatever is open: where it gets one before and after
    /// another question of ours that got none, the coordinator is there and the offsets are unstable.
    ///
    /// - Throws: `.unavailable` when the coordinator does not answer.
    func groupOffsets(of partitions: some Collection<TopicPartition>) throws(StreamError) -> GroupOffsets {
        if let stable = try stableOffsets(of: partitions, timeout: Self.patience) { return .stable(stable) }
        return try withUncommittedReader { reader throws(StreamError) in
            _ = try reader.committedOffsets(of: partitions, timeout: Self.patience)
            if let stable = try stableOffsets(of: partitions, timeout: 1_000) { return .stable(stable) }
            return .pending(before: try reader.committedOffsets(of: partitions, timeout: Self.patience))
        }
    }

    /// Nil when no answer came in time, which says nothing by itself.
    private func stableOffsets(
        of partitions: some Collection<TopicPartition>,
        timeout: Int32
    ) throws(StreamError) -> [TopicPartition: CommittedOffset]? {
        do throws(StreamError) {
            return try client.committedOffsets(of: partitions, timeout: timeout)
        } catch {
            guard case .unavailable = error else { throw error }
            return nil
        }
    }

    /// Takes back the offsets of this producer's id that nobody has ended, by a write to an offset that nobody reads.
    func touchOffsets() throws(StreamError) {
        guard let group = options.groupName else { return }
        // Not to one of its own: a worker may write to the topic that it reads.
        for topic in outputTopics.subtracting(options.topics).sorted() {
            guard let partition = try partitions(of: topic).first else { continue }
            return try producer.use { producer throws(TransactionFailure) in
                try producer.touchOffsets(of: group, at: partition)
            }
        }
    }

    /// Nobody else has gone on from there: its offsets were unstable, so nobody could read any.
    func commitAgain(_ commit: PendingCommit) throws(StreamError) {
        guard let group = options.groupName else { return }
        try producer.use { producer throws(TransactionFailure) in
            let offsets = PartitionList(commit.offsets, metadata: commit.metadata)
            try producer.run([], offsets: offsets, member: try .naming(group))
        }
    }

    // MARK: - Outputs

    /// Ends records that transactions of this id left open.
    func endOpenRecords(committing isCommit: Bool) throws(StreamError) {
        let open = try openPartitions()
        guard !open.isEmpty else { return }
        try producer.use { producer throws(TransactionFailure) in
            try producer.endOpenRecords(in: open, committing: isCommit)
        }
    }

    /// Partitions that commits write to and that hold records nobody has ended, be it because somebody is just at work.
    func openPartitions() throws(StreamError) -> [TopicPartition] {
        try withUncommittedReader { reader throws(StreamError) in
            var open: [TopicPartition] = []
            for topic in outputTopics.sorted() {
                for partition in try partitions(of: topic) {
                    let stable = try client.watermarks(of: partition, timeout: 5_000).upperBound
                    let end = try reader.watermarks(of: partition, timeout: 5_000).upperBound
                    if stable < end { open.append(partition) }
                }
            }
            return open
        }
    }

    /// Whether readers see the commit's outputs.
    func isVisible(_ commit: PendingCommit) throws(StreamError) -> Bool {
        guard let probe = commit.probe else { return false }
        let topic = try client.topic(probe.topic)
        var number = probe.partition
        if number == nil, let key = probe.key, let count = try client.partitionCount(of: probe.topic) {
            number = rd_kafka_msg_partitioner_murmur2(topic.pointer, key, key.count, count, nil, nil)
        }
        guard let number else { return false }
        return try CommittedTail(client.configuration, TopicPartition(probe.topic, number)).contains {
            // The headers too: of a record that was sent on they alone tell it from another of the same event.
            $0.timestamp >= commit.startedAt && $0.key == probe.key && $0.value == probe.value
                && $0.headers == probe.headers
        }
    }

    // MARK: - Helpers

    /// None of a topic that is missing, which is told of when it is read or written.
    func partitions(of topic: String) throws(StreamError) -> [TopicPartition] {
        (0..<(try client.partitionCount(of: topic) ?? 0)).map { TopicPartition(topic, $0) }
    }

    private func withUncommittedReader<Value>(
        _ body: (KafkaClient) throws(StreamError) -> Value
    ) throws(StreamError) -> Value {
        let reader = try KafkaClient(
            client.configuration,
            role: .uncommittedReader(group: options.groupName ?? options.memberName),
            name: "\(options.memberName)-uncommitted"
        )
        defer { reader.end() }
        return try body(reader)
    }
}
