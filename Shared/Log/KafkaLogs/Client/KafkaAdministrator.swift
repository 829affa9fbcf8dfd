internal import CRdkafka
internal import Concurrency
internal import MessageLogs

/// Asks a cluster about topics, offsets and groups, and creates topics.
actor KafkaAdministrator {
    private let executor = BlockingExecutor(label: "kafka.administrator")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let configuration: KafkaConfiguration
    private var openClient: KafkaClient?
    /// One client for each group whose offsets were asked for; none is a member.
    private var askers: [String: KafkaClient] = [:]
    var timeout: Int32 { configuration.connectTimeout.milliseconds }

    /// Makes the client; nothing is asked yet.
    init(_ configuration: KafkaConfiguration) throws(StreamError) {
        self.configuration = configuration
        openClient = try KafkaClient(configuration, role: .administrator, name: "userllm")
    }

    /// Gives up the connection.
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
        guard let count = try partitionCount(of: topic) else { throw .unknownTopic(topic) }
        return try watermarks(of: (0..<count).map { TopicPartition(topic, $0) })
    }

    /// The first offsets of records that are at most so old; a partition without one is missing.
    func offsets(of partitions: [TopicPartition], since timestamp: Int64) throws(StreamError) -> [TopicPartition: Int64]
    {
        let client = try client()
        // librdkafka takes the time in place of the offset.
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

    /// What a group has committed of a topic, once no transaction can change it any more.
    ///
    /// Asked as a client of that group: the administrative question of librdkafka 2.0.2 is never answered while a
    /// transaction is pending.
    func committedOffsets(group: String, topic: String) throws(StreamError) -> [TopicPartition: Int64] {
        guard let count = try client().partitionCount(of: topic) else { throw .unknownTopic(topic) }
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

    /// Creates topics that do not exist and checks those that do.
    func createTopics(_ topics: [TopicSpecification]) throws(StreamError) {
        var missing: [TopicSpecification] = []
        for topic in topics {
            if try !exists(topic) { missing.append(topic) }
        }
        _ = try checkCleanup(of: topics.filter { !missing.contains($0) }.cleanups)
        guard !missing.isEmpty else { return }
        try create(missing)
        // A topic that another process made at the same time must also fit, and all must be ready for records.
        for topic in missing {
            guard try waitForLeaders(of: topic) else { throw .unknownTopic(topic.name) }
        }
    }

    private func exists(_ topic: TopicSpecification) throws(StreamError) -> Bool {
        guard let count = try partitionCount(of: topic.name) else { return false }
        guard count == topic.partitionCount else {
            throw .topicMismatch(topic: topic.name, expected: topic.partitionCount, found: count)
        }
        return true
    }

    private func waitForLeaders(of topic: TopicSpecification) throws(StreamError) -> Bool {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        while ContinuousClock.now < deadline {
            if try exists(topic) { return true }
            KafkaClient.pause(milliseconds: 20)
        }
        return false
    }

    private func create(_ topics: [TopicSpecification]) throws(StreamError) {
        let client = try client()
        var requests: [OpaquePointer?] = []
        defer { for request in requests { rd_kafka_NewTopic_destroy(request) } }
        for topic in topics {
            requests.append(try request(for: topic))
        }
        let options = rd_kafka_AdminOptions_new(client.handle, RD_KAFKA_ADMIN_OP_CREATETOPICS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        try answer(
            to: "create topics",
            options: options,
            ask: { rd_kafka_CreateTopics(client.handle, &requests, requests.count, options, $0) },
            read: { event throws(StreamError) in
                var count = 0
                let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
                for index in 0..<count {
                    guard let result = results?[index] else { continue }
                    let name = String(cString: rd_kafka_topic_result_name(result))
                    let error = KafkaError(
                        rd_kafka_topic_result_error(result),
                        message: rd_kafka_topic_result_error_string(result).map { String(cString: $0) },
                        operation: "create topic \(name)"
                    )
                    guard error.code != .noError, error.code != .topicAlreadyExists else { continue }
                    throw client.streamError(error)
                }
            }
        )
    }

    private func request(for topic: TopicSpecification) throws(StreamError) -> OpaquePointer? {
        let text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 256)
        defer { text.deallocate() }
        let replicas = configuration.replicationFactor
        guard
            let request = rd_kafka_NewTopic_new(
                topic.name,
                topic.partitionCount,
                replicas,
                text.baseAddress,
                text.count
            )
        else {
            let reason = text.baseAddress.map { String(cString: $0) } ?? ""
            throw .configuration("topic \(topic.name) with \(topic.partitionCount) partitions: \(reason)")
        }
        for (key, value) in topic.cleanup.settings {
            rd_kafka_NewTopic_set_config(request, key, value)
        }
        return request
    }

    /// Asks an administrative question on a queue of its own and reads the answer.
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

extension KafkaClient {
    /// First offset and end of a partition as this client's isolation shows it.
    func watermarks(of partition: TopicPartition, timeout: Int32) throws(StreamError) -> Range<Int64> {
        let deadline = ContinuousClock.now + .milliseconds(Int64(timeout))
        while true {
            var (low, high): (Int64, Int64) = (0, 0)
            let code = rd_kafka_query_watermark_offsets(
                handle,
                partition.topic,
                partition.partition,
                &low,
                &high,
                max(1, (deadline - .now).milliseconds)
            )
            let error = KafkaError(code, operation: "watermarks of \(partition)")
            switch error.code {
            case .noError: return low..<max(low, high)
            case .unknownTopicOrPartition, .localUnknownTopic, .unknownPartition: throw .unknownTopic(partition.topic)
            // A partition that was made or moved a moment ago: its broker does not know yet that it leads it.
            case .notLeader, .leaderNotAvailable:
                guard ContinuousClock.now < deadline else { throw streamError(error) }
                Self.pause(milliseconds: 20)
            default: throw streamError(error)
            }
        }
    }

    /// What this client's group has committed, once no open transaction can change it any more.
    func committedOffsets(
        of partitions: some Sequence<TopicPartition>,
        timeout: Int32
    ) throws(StreamError) -> [TopicPartition: PartitionList.Element] {
        let deadline = ContinuousClock.now + .milliseconds(Int64(timeout))
        while true {
            let list = PartitionList(partitions)
            let code = rd_kafka_committed(handle, list.pointer, max(1, (deadline - .now).milliseconds))
            let elements = list.elements
            let fault =
                code == RD_KAFKA_RESP_ERR_NO_ERROR ? elements.first { $0.error != .noError }?.error : .init(code)
            guard let fault else {
                let known = elements.filter { $0.offset >= 0 }
                return Dictionary(uniqueKeysWithValues: known.map { ($0.partition, $0) })
            }
            let error = streamError(
                KafkaError(rd_kafka_resp_err_t(fault.rawValue), operation: "committed offsets")
            )
            // A group's coordinator that has just started, or moved, says so at once.
            guard case .unavailable = error, ContinuousClock.now < deadline else { throw error }
            Self.pause(milliseconds: 50)
        }
    }
}

extension TopicSpecification.Cleanup {
    /// The broker's settings of such a topic.
    var settings: [(String, String)] {
        switch self {
        case .delete(let retention):
            let milliseconds = retention.wholeMilliseconds
            // Only whole segments are deleted, so a topic that keeps records briefly needs short segments.
            let segment = min(86_400_000, max(60_000, milliseconds / 7))
            return [
                ("cleanup.policy", policy), ("retention.ms", "\(milliseconds)"), ("segment.ms", "\(segment)"),
            ]
        case .compact:
            return [
                ("cleanup.policy", policy), ("segment.ms", "3600000"), ("min.cleanable.dirty.ratio", "0.2"),
                ("max.compaction.lag.ms", "86400000"), ("delete.retention.ms", "86400000"),
            ]
        }
    }
}
