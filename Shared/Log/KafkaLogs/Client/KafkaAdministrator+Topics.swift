internal import CRdkafka
internal import MessageLogs

extension KafkaAdministrator {
    /// Creates topics that do not exist and checks those that do.
    func createTopics(_ topics: [TopicSpecification]) throws(StreamError) {
        var missing: [TopicSpecification] = []
        for topic in topics {
            if try !exists(topic) { missing.append(topic) }
        }
        _ = try checkCleanup(of: topics.filter { !missing.contains($0) }.cleanups)
        guard !missing.isEmpty else { return }
        let deadline = ContinuousClock.now + configuration.connectTimeout
        while let error = try create(missing) {
            guard ContinuousClock.now < deadline else { throw error }
            KafkaClient.pause(milliseconds: 100)
        }
        // A topic that another process created at the same time must also match, and all must be ready for records.
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

    /// Creates topics, or leaves those that another process has created.
    ///
    /// - Returns: the reason to ask again in a moment: a broker that was slow is heard of again by its next heartbeat.
    private func create(_ topics: [TopicSpecification]) throws(StreamError) -> StreamError? {
        let client = try client()
        var requests: [OpaquePointer?] = []
        defer { for request in requests { rd_kafka_NewTopic_destroy(request) } }
        for topic in topics {
            requests.append(try request(for: topic))
        }
        let options = rd_kafka_AdminOptions_new(client.handle, RD_KAFKA_ADMIN_OP_CREATETOPICS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        var passing: StreamError?
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
                    guard error.saysThatBrokersAreFenced else { throw client.streamError(error) }
                    passing = client.streamError(error)
                }
            }
        )
        return passing
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
