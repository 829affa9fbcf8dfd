internal import CRdkafka
internal import Concurrency
internal import MessageLogs

/// Queries a cluster about topics, offsets and groups, and creates topics.
actor KafkaAdministrator {
    private let executor = BlockingExecutor(label: "kafka.administrator")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let configuration: KafkaConfiguration
    private var openClient: KafkaClient?
    /// One client for each group whose offsets were queried; none is a member.
    private var askers: [String: KafkaClient] = [:]
    var timeout: Int32 { configuration.connectTimeout.milliseconds }

    /// Makes the client; nothing is queried yet.
    init(_ configuration: KafkaConfiguration) throws(StreamError) {
        self.configuration = configuration
        openClient = try KafkaClient(configuration, role: .administrator, name: "userllm")
    }

    /// Closes the connection.
    func close() {
        endAskers()
        openClient?.end()
        openClient = nil
    }

    func client() throws(StreamError) -> KafkaClient {
        guard let openClient else { throw .closed }
        return openClient
    }

    /// Waits until a broker answers.
    ///
    /// - Throws: `.unavailable` with the address and the connection's error, `.configuration` when it refused us.
    func connect() throws(StreamError) {
        let client = try client()
        let deadline = ContinuousClock.now + configuration.connectTimeout
        while true {
            var metadata: UnsafePointer<rd_kafka_metadata>?
            let code = rd_kafka_metadata(client.handle, 0, nil, &metadata, 500)
            if let metadata { rd_kafka_metadata_destroy(metadata) }
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
            let isOver = ContinuousClock.now >= deadline
            let error = client.streamError(KafkaError(code, operation: "connect"))
            if case .configuration = error { throw error }
            if isOver { throw error }
        }
    }

    /// The number of partitions of a topic; nil when there is none.
    func partitionCount(of topic: String) throws(StreamError) -> Int32? {
        try client().partitionCount(of: topic)
    }

    /// The number of partitions of a topic that has to exist.
    func requiredPartitionCount(of topic: String) throws(StreamError) -> Int32 {
        try client().requiredPartitionCount(of: topic)
    }

    /// First offset and true end of partitions, open transactions included.
    func watermarks(of partitions: [TopicPartition]) throws(StreamError) -> [TopicPartition: Range<Int64>] {
        let client = try client()
        let timeout = timeout
        var watermarks: [TopicPartition: Range<Int64>] = [:]
        for partition in partitions {
            watermarks[partition] = try client.watermarks(of: partition, timeout: timeout)
        }
        return watermarks
    }

    /// First offset and true end of all partitions of a topic.
    func watermarks(ofTopic topic: String) throws(StreamError) -> [TopicPartition: Range<Int64>] {
        let count = try requiredPartitionCount(of: topic)
        return try watermarks(of: (0..<count).map { TopicPartition(topic, $0) })
    }

    /// The first offsets of records that are at most this old; a partition without one is missing.
    func offsets(of partitions: [TopicPartition], since timestamp: Int64) throws(StreamError) -> [TopicPartition: Int64]
    {
        let client = try client()
        // librdkafka takes the time in the offset field.
        let list = PartitionList(Dictionary(uniqueKeysWithValues: partitions.map { ($0, timestamp) }))
        let code = rd_kafka_offsets_for_times(client.handle, list.pointer, timeout)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "offsets by time"))
        }
        var offsets: [TopicPartition: Int64] = [:]
        for element in list.elements where element.error == .noError && element.offset >= 0 {
            offsets[element.partition] = element.offset
        }
        return offsets
    }

    /// What a group has committed for a topic, once no transaction can change it any more.
    ///
    /// Queried as a client of that group: librdkafka 2.0.2 never answers the admin request while a transaction is
    /// pending.
    func committedOffsets(group: String, topic: String) throws(StreamError) -> [TopicPartition: Int64] {
        let count = try requiredPartitionCount(of: topic)
        let asker = try asker(for: group)
        asker.noteErrors()
        let partitions = (0..<count).map { TopicPartition(topic, $0) }
        return try asker.committedOffsets(of: partitions, timeout: timeout).mapValues(\.offset)
    }

    private func asker(for group: String) throws(StreamError) -> KafkaClient {
        if let asker = askers[group] { return asker }
        if askers.count >= 16 { endAskers() }
        let role = KafkaConfiguration.Role.subscriber(group: group, isMember: false, sessionTimeout: .zero)
        let asker = try KafkaClient(configuration, role: role, name: "userllm")
        askers[group] = asker
        return asker
    }

    private func endAskers() {
        for asker in askers.values { asker.end() }
        askers.removeAll()
    }

    /// Sends an admin request on a queue of its own and reads the answer.
    func answer<Value>(
        to operation: String,
        options: OpaquePointer?,
        ask: (OpaquePointer?) -> Void,
        read: (OpaquePointer) throws(StreamError) -> Value
    ) throws(StreamError) -> Value {
        let client = try client()
        let text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 256)
        defer { text.deallocate() }
        _ = rd_kafka_AdminOptions_set_request_timeout(options, timeout, text.baseAddress, text.count)
        let queue = rd_kafka_queue_new(client.handle)
        defer { rd_kafka_queue_destroy(queue) }
        ask(queue)
        guard let event = rd_kafka_queue_poll(queue, timeout + 1_000) else {
            throw client.streamError(KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: operation))
        }
        defer { rd_kafka_event_destroy(event) }
        let code = rd_kafka_event_error(event)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            let message = rd_kafka_event_error_string(event).map { String(cString: $0) }
            throw client.streamError(KafkaError(code, message: message, operation: operation))
        }
        return try read(event)
    }
}
