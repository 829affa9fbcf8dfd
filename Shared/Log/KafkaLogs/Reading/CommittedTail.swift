internal import CRdkafka
internal import MessageLogs

/// The last records of a partition that readers of committed records see; used by one thread, its calls block.
struct CommittedTail {
    private static let length: Int64 = 5_000
    private let client: KafkaClient
    private let partition: TopicPartition

    /// Prepares to read.
    init(_ configuration: KafkaConfiguration, _ partition: TopicPartition) throws(StreamError) {
        client = try KafkaClient(configuration, role: .reader, name: "userllm-tail")
        self.partition = partition
    }

    /// Whether one of the last thousands of records meets a condition.
    ///
    /// - Throws: `.unavailable` when the broker does not give them within ten seconds.
    func contains(where isWanted: (Record) -> Bool) throws(StreamError) -> Bool {
        defer { client.end() }
        let deadline = ContinuousClock.now + .seconds(10)
        let range = try client.watermarks(of: partition, timeout: 5_000)
        let list = PartitionList([partition: max(range.lowerBound, range.upperBound - Self.length)])
        let code = rd_kafka_assign(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "assign \(partition)"))
        }
        var reader = RecordReader()
        var isFound = false
        var isAtEnd = false
        while !isFound, !isAtEnd {
            guard ContinuousClock.now < deadline else {
                throw client.streamError(KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: "read \(partition)"))
            }
            _ = client.poll(100) { event in
                guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH else {
                    let code = KafkaError.Code(rd_kafka_event_error(event))
                    if code == .partitionEnd { isAtEnd = true } else { client.note(event, operation: "read") }
                    return
                }
                while let message = rd_kafka_event_message_next(event) {
                    guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                        isAtEnd = isAtEnd || KafkaError.Code(message.pointee.err) == .partitionEnd
                        continue
                    }
                    let source = reader.source(of: message.pointee)
                    isFound = isFound || isWanted(reader.record(message, source: source))
                }
            }
        }
        return isFound
    }
}
