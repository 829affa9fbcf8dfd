internal import CRdkafka
internal import MessageLogs

/// Collects records that a subscription's client fetches into batches, and notes other events on its queue.
///
/// Used by one thread at a time, its calls block.
struct RecordCollector {
    private let client: KafkaClient
    private let topics: [String]
    private let maximumCount: Int
    private var reader = RecordReader()
    /// Records that arrived while waiting for a rebalance; the next batch begins with them.
    private var stash: [Record] = []
    /// Reported after the records before it.
    private var failure: StreamError?

    /// Reads batches of at most `maximumCount` records.
    init(_ client: KafkaClient, topics: [String], maximumCount: Int) {
        self.client = client
        self.topics = topics
        self.maximumCount = maximumCount
    }

    /// Collects records until the batch is full or has waited long enough, or a rebalance comes.
    ///
    /// `patience`, in milliseconds, applies to the first record, `linger` to further ones; nil when none came.
    mutating func collect(
        _ group: inout GroupState,
        patience: Int32,
        linger: Duration
    ) throws(StreamError) -> [Record]? {
        var records = Array(stash.prefix(maximumCount))
        stash.removeFirst(records.count)
        var deadline = ContinuousClock.now + linger
        while records.count < maximumCount, !group.hasRebalance, failure == nil {
            let timeout = records.isEmpty ? patience : max(0, (deadline - .now).milliseconds)
            let wasEmpty = records.isEmpty
            guard client.poll(timeout, { take($0, into: &records, &group) }) != nil else { break }
            if wasEmpty, !records.isEmpty { deadline = .now + linger }
        }
        if records.isEmpty, let failure {
            self.failure = nil
            throw failure
        }
        return records.isEmpty ? nil : records
    }

    /// Waits for an event, and keeps records that arrive meanwhile; false when none came.
    ///
    /// `patience` is in milliseconds.
    @discardableResult
    mutating func stashNext(_ group: inout GroupState, patience: Int32 = 100) -> Bool {
        var records: [Record] = []
        let event: Void? = client.poll(patience) { take($0, into: &records, &group) }
        stash += records
        return event != nil
    }

    /// Drops kept records of partitions that no longer deliver.
    mutating func discard(_ group: GroupState) {
        stash.removeAll { group.phase(of: $0.source)?.position == nil }
    }

    // MARK: - Events

    private mutating func take(_ event: OpaquePointer, into records: inout [Record], _ group: inout GroupState) {
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_FETCH:
            while let message = rd_kafka_event_message_next(event) {
                guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                    let source = reader.source(of: message.pointee)
                    take(KafkaError(message.pointee.err, operation: "read \(source)"), at: source, group)
                    continue
                }
                take(message, into: &records, &group)
            }
        case RD_KAFKA_EVENT_REBALANCE:
            _ = group.handle(.rebalanced(Self.rebalance(in: event)))
        case RD_KAFKA_EVENT_ERROR:
            var source: TopicPartition?
            if let list = rd_kafka_event_topic_partition(event) {
                source = TopicPartition(String(cString: list.pointee.topic), list.pointee.partition)
                rd_kafka_topic_partition_destroy(list)
            }
            let operation = source.map { "read \($0)" } ?? "read \(topics)"
            take(client.note(event, operation: operation), at: source, group)
        default:
            break
        }
    }

    private mutating func take(
        _ message: UnsafePointer<rd_kafka_message_t>,
        into records: inout [Record],
        _ group: inout GroupState
    ) {
        let source = reader.source(of: message.pointee)
        guard group.accept(message.pointee.offset, of: source) else { return }
        if !reader.isFiller(message) { records.append(reader.record(message, source: source)) }
    }

    /// Most errors are transient: librdkafka retries, and the next event just comes later.
    private mutating func take(_ error: KafkaError, at partition: TopicPartition?, _ group: GroupState) {
        switch error.code {
        case .autoOffsetReset, .offsetOutOfRange:
            guard let partition, let position = group.phase(of: partition)?.position else { return }
            failure = gone(partition, position)
        case .unknownTopicOrPartition, .localUnknownTopic:
            failure = .unknownTopic(partition?.topic ?? topics.joined(separator: ", "))
        case let code where KafkaError.Code.configurationFaults.contains(code):
            failure = error.streamError(brokers: client.configuration.brokerList)
        default:
            if error.isFatal { failure = .fatal(error.description) }
        }
    }

    private func gone(_ partition: TopicPartition, _ position: Int64) -> StreamError {
        do throws(StreamError) {
            let timeout = client.configuration.connectTimeout.milliseconds
            let range = try client.watermarks(of: partition, timeout: timeout)
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

    private static func rebalance(in event: OpaquePointer) -> GroupState.Rebalance {
        var partitions: [TopicPartition] = []
        if let list = rd_kafka_event_topic_partition_list(event) {
            partitions = PartitionList.elements(of: list).map(\.partition)
        }
        let isAssignment = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
        return isAssignment ? .assign(partitions) : .revoke(partitions)
    }
}
