internal import CRdkafka
internal import Concurrency
internal import MessageLogs

/// Reads given ranges of partitions once, committed records only, without a group.
actor PartitionReader {
    /// What is left to read of a partition.
    private struct Remainder {
        var position: Int64
        let end: Int64
    }

    private let executor = BlockingExecutor(label: "kafka.reader")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let configuration: KafkaConfiguration
    private let client: KafkaClient
    private var ranges: [TopicPartition: Remainder]
    private var reader = RecordReader()
    private var lastProgress = ContinuousClock.now
    private let waitsForOpenTransactions: Bool
    /// End offsets that an open transaction holds back; only if the reader does not wait for those.
    private(set) var withheld: [TopicPartition: Int64] = [:]

    /// Starts reading partitions from their range's first offset up to its end, which is not read.
    ///
    /// Records behind an open transaction are waited for, or left out.
    init(
        _ configuration: KafkaConfiguration,
        ranges: [TopicPartition: Range<Int64>],
        waitsForOpenTransactions: Bool
    ) throws(StreamError) {
        self.configuration = configuration
        self.waitsForOpenTransactions = waitsForOpenTransactions
        self.ranges = ranges.filter { !$0.value.isEmpty }.mapValues {
            Remainder(position: $0.lowerBound, end: $0.upperBound)
        }
        client = try KafkaClient(configuration, role: .reader, name: "userllm-reader")
        let list = PartitionList(self.ranges.mapValues(\.position))
        let code = rd_kafka_assign(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "assign \(ranges.keys)"))
        }
    }

    /// The next records in order within each partition; nil when all ranges are read.
    ///
    /// - Throws: `.unavailable` when nothing moved for the stall timeout, naming the partition and the offset.
    func next(maximumCount: Int = 5_000) throws(StreamError) -> [Record]? {
        var records: [Record] = []
        while !ranges.isEmpty, records.count < maximumCount {
            let failure: StreamError?? = client.poll(records.isEmpty ? 100 : 1) { take($0, into: &records) }
            if let failure = failure ?? nil { throw failure }
            guard failure == nil else { continue }
            if !records.isEmpty { break }
            if Task.isCancelled { throw .closed }
            try checkProgress()
        }
        return records.isEmpty ? nil : records
    }

    /// Gives up the connection.
    func close() {
        ranges = [:]
        client.end()
    }

    private func checkProgress() throws(StreamError) {
        guard ContinuousClock.now - lastProgress > configuration.replayStallTimeout,
            let (partition, range) = ranges.first
        else { return }
        throw .unavailable(
            "\(partition): read up to offset \(range.position) of \(range.end), then nothing for "
                + "\(configuration.replayStallTimeout); an open transaction blocks, or the broker is away"
                + (client.lastError.map { " (\($0.message))" } ?? "")
        )
    }

    private func take(_ event: OpaquePointer, into records: inout [Record]) -> StreamError? {
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_FETCH:
            while let message = rd_kafka_event_message_next(event) {
                guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                    let partition = reader.source(of: message.pointee)
                    return failure(message.pointee.err, at: partition, offset: message.pointee.offset)
                }
                take(message, into: &records)
            }
            return nil
        case RD_KAFKA_EVENT_ERROR:
            guard let list = rd_kafka_event_topic_partition(event) else {
                let error = client.note(event, operation: "read")
                return KafkaError.Code.configurationFaults.contains(error.code) ? client.streamError(error) : nil
            }
            defer { rd_kafka_topic_partition_destroy(list) }
            let partition = TopicPartition(String(cString: list.pointee.topic), list.pointee.partition)
            return failure(rd_kafka_event_error(event), at: partition, offset: list.pointee.offset)
        default:
            return nil
        }
    }

    private func take(_ message: UnsafePointer<rd_kafka_message_t>, into records: inout [Record]) {
        let source = reader.source(of: message.pointee)
        let offset = message.pointee.offset
        guard let range = ranges[source], offset >= range.position else { return }
        if offset < range.end, !reader.isFiller(message) { records.append(reader.record(message, source: source)) }
        advance(source, to: offset + 1)
    }

    private func failure(_ code: rd_kafka_resp_err_t, at partition: TopicPartition, offset: Int64) -> StreamError? {
        let error = KafkaError(code, operation: "read \(partition)")
        switch error.code {
        case .partitionEnd:
            // The position also advances past control records and past records removed by compaction.
            guard let range = ranges[partition] else { return nil }
            if offset > range.position { advance(partition, to: offset) }
            if !waitsForOpenTransactions, let range = ranges.removeValue(forKey: partition) {
                let rest = range.end - max(range.position, offset)
                if rest > 0 { withheld[partition] = rest }
            }
            return nil
        case .unknownTopicOrPartition, .localUnknownTopic, .unknownPartition:
            return .unknownTopic(partition.topic)
        case .autoOffsetReset, .offsetOutOfRange:
            guard let range = ranges[partition] else { return nil }
            return .unavailable("\(partition): offset \(range.position) was deleted while it was read; read it again")
        case let code where KafkaError.Code.configurationFaults.contains(code):
            return client.streamError(error)
        default:
            return nil
        }
    }

    private func advance(_ partition: TopicPartition, to position: Int64) {
        lastProgress = .now
        guard let range = ranges[partition] else { return }
        ranges[partition] = position < range.end ? Remainder(position: position, end: range.end) : nil
    }
}
