internal import CRdkafka
internal import Failpoints
internal import MessageLogs

/// Why a transaction did not succeed.
enum TransactionFailure: Error {
    /// It was aborted; nothing of it is visible.
    case aborted(KafkaError)
    /// A record or topic is wrong; it was aborted.
    case invalid(StreamError)
    /// The outcome is unknown. The producer is of no use any more, and only the group's offsets can tell.
    case unknown(KafkaError)
}

/// One transactional producer; used by one thread at a time, its calls block.
final class TransactionalProducer {
    private let client: KafkaClient
    private let sender = RecordSender()
    private let timeout: Duration

    /// Opens a producer and fences all earlier ones of the same id; their open transactions are aborted.
    ///
    /// - Throws: `.unavailable` when the coordinator does not answer by `deadline`.
    init(
        _ configuration: KafkaConfiguration,
        id: String,
        timeout: Duration,
        deadline: ContinuousClock.Instant,
        isEnding: () -> Bool = { false }
    ) throws(StreamError) {
        self.timeout = timeout
        client = try KafkaClient(configuration, role: .transactional(id: id, timeout: timeout), name: id)
        while true {
            let operation = "init transactions of \(id)"
            guard
                let error = KafkaError(
                    taking: rd_kafka_init_transactions(client.handle, 2_000),
                    operation: operation
                )
            else { return }
            let isOver = ContinuousClock.now >= deadline
            let failure = client.streamError(error)
            if case .configuration = failure { throw failure }
            guard error.isRetriable, !isOver, !isEnding() else { throw failure }
        }
    }

    /// Makes records and offsets visible together, in one transaction.
    func run(
        _ records: [OutgoingRecord],
        offsets: PartitionList,
        member: GroupMetadata,
        within limit: Duration = .seconds(3_600)
    ) throws(TransactionFailure) {
        let deadline = ContinuousClock.now + min(timeout, limit)
        client.noteErrors()
        let topics = try topics(of: records)
        try begin(deadline)
        Failpoint.kafkaAfterBegin.reach()
        for record in records {
            guard let topic = topics[record.topic] else { continue }
            try send(record, topic: topic, deadline: deadline)
        }
        Failpoint.kafkaAfterRecords.reach()
        if offsets.pointer.pointee.cnt > 0 {
            try send(OffsetsOfTransaction(client, offsets, member), "send offsets to transaction", deadline)
        }
        Failpoint.kafkaAfterOffsets.reach()
        flush(until: deadline)
        try commit(deadline)
        Failpoint.kafkaAfterCommit.reach()
    }

    /// Commits an offset of a group and aborts: afterwards the group's offsets are certain.
    ///
    /// The partition is one that the group does not read, because even an aborted offset may be forgotten.
    func touchOffsets(of group: String, at partition: TopicPartition) throws(TransactionFailure) {
        let deadline = ContinuousClock.now + timeout
        // Names no member, because the caller may have been removed from its group.
        let offsets = OffsetsOfTransaction(client, PartitionList([partition: 0]), try .naming(group))
        try begin(deadline)
        try send(offsets, "touch offsets", deadline)
        try abort(because: KafkaError(RD_KAFKA_RESP_ERR_NO_ERROR, operation: "touch offsets"), deadline)
    }

    /// Ends records that an earlier transaction with this producer's id left open in some partitions.
    ///
    /// It takes a record in each, which our readers skip.
    func endOpenRecords(in partitions: [TopicPartition], committing isCommit: Bool) throws(TransactionFailure) {
        let deadline = ContinuousClock.now + timeout
        let records = partitions.map { OutgoingRecord.filler(in: $0) }
        guard !records.isEmpty else { return }
        let handles = try self.topics(of: records)
        try begin(deadline)
        for record in records {
            guard let topic = handles[record.topic] else { continue }
            try send(record, topic: topic, deadline: deadline)
        }
        flush(until: deadline)
        let unsent = KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: "clear up \(partitions)")
        guard rd_kafka_outq_len(client.handle) == 0 else {
            try abort(because: unsent, deadline)
            throw .aborted(unsent)
        }
        guard isCommit else { return try abort(because: unsent, deadline) }
        try commit(deadline)
    }

    /// Whether a connection was lost since the last time this was asked.
    func takeConnectionLoss() -> Bool {
        client.noteErrors()
        return client.takeConnectionLoss()
    }

    /// Waits until the brokers have all records.
    ///
    /// The commit does this too, but only checks every 10 ms.
    private func flush(until deadline: ContinuousClock.Instant) {
        while rd_kafka_outq_len(client.handle) > 0, ContinuousClock.now < deadline {
            _ = client.poll(1) { client.note($0, operation: "connection") }
        }
    }

    private func topics(of records: [OutgoingRecord]) throws(TransactionFailure) -> [String: KafkaTopic] {
        var topics: [String: KafkaTopic] = [:]
        do throws(StreamError) {
            try RecordSender.checkSizes(records, configuration: client.configuration)
            for record in records where topics[record.topic] == nil {
                topics[record.topic] = try client.topic(record.topic)
            }
        } catch {
            throw .invalid(error)
        }
        return topics
    }

    private func send(
        _ record: OutgoingRecord,
        topic: KafkaTopic,
        deadline: ContinuousClock.Instant
    ) throws(TransactionFailure) {
        while let error = sender.send(record, topic: topic, tag: 0, by: client) {
            guard error.code == .queueFull, ContinuousClock.now < deadline else {
                try abort(because: error, deadline)
                throw reason(of: error, record: record)
            }
            // Flushing waits for acknowledgements, which make room.
            rd_kafka_flush(client.handle, 20)
        }
    }

    private func reason(of error: KafkaError, record: OutgoingRecord) -> TransactionFailure {
        let limit = client.configuration.maximumRecordSize
        switch error.code {
        case .messageTooLarge, .unknownPartition, .localUnknownTopic, .unknownTopicOrPartition:
            return .invalid(
                error.deliveryError(
                    topic: record.topic,
                    byteCount: RecordSender.byteCount(of: record),
                    limit: limit,
                    brokers: client.configuration.brokerList
                )
            )
        default:
            return .aborted(error)
        }
    }

    private func begin(_ deadline: ContinuousClock.Instant) throws(TransactionFailure) {
        try call(deadline) {
            KafkaError(taking: rd_kafka_begin_transaction(client.handle), operation: "begin transaction")
        }
    }

    private func commit(_ deadline: ContinuousClock.Instant) throws(TransactionFailure) {
        try call(deadline) {
            KafkaError(
                taking: rd_kafka_commit_transaction(client.handle, remaining(deadline)),
                operation: "commit transaction"
            )
        }
    }

    private func send(
        _ offsets: OffsetsOfTransaction,
        _ operation: String,
        _ deadline: ContinuousClock.Instant
    ) throws(TransactionFailure) {
        try call(deadline) { offsets.send(operation, within: remaining(deadline)) }
    }

    /// Retries a call of the transaction until it succeeds, fails for good, or the time is over.
    private func call(
        _ deadline: ContinuousClock.Instant,
        _ body: () -> KafkaError?
    ) throws(TransactionFailure) {
        while let error = body() {
            if error.isFatal { throw .unknown(client.fatalError ?? error) }
            if error.requiresAbort {
                try abort(because: error, deadline)
                throw .aborted(error)
            }
            guard error.isRetriable, ContinuousClock.now < deadline else { throw .unknown(error) }
        }
    }

    private func abort(because cause: KafkaError, _ deadline: ContinuousClock.Instant) throws(TransactionFailure) {
        while let error = KafkaError(
            taking: rd_kafka_abort_transaction(client.handle, remaining(deadline)),
            operation: "abort transaction"
        ) {
            guard error.isRetriable, !error.isFatal, ContinuousClock.now < deadline else {
                // The fatal error says who fenced; a record's own error may only say that there is one.
                throw .unknown(client.fatalError ?? cause)
            }
        }
    }

    private func remaining(_ deadline: ContinuousClock.Instant) -> Int32 {
        max(100, (deadline - ContinuousClock.now).milliseconds)
    }
}
