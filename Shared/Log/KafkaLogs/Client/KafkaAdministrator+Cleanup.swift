internal import CRdkafka
internal import MessageLogs

extension KafkaAdministrator {
    /// Checks that the `cleanup.policy` of topics matches their specification.
    ///
    /// - Returns: topics that the broker does not let this client see, or all if it does not support such requests.
    func checkCleanup(of topics: [String: TopicSpecification.Cleanup]) throws(StreamError) -> [String] {
        guard !topics.isEmpty else { return [] }
        for topic in topics.keys.sorted() {
            guard try partitionCount(of: topic) != nil else { throw .unknownTopic(topic) }
        }
        let policies = try cleanupPolicies(of: topics.keys.sorted())
        for (topic, policy) in policies.sorted(by: { $0.key < $1.key }) {
            guard let expected = topics[topic]?.policy, policy != expected else { continue }
            throw .settingMismatch(
                topic: topic,
                setting: "cleanup.policy",
                expected: expected,
                found: policy,
                advice: "kafka-configs.sh --bootstrap-server \(configuration.brokerList) --alter --entity-type topics "
                    + "--entity-name \(topic) --add-config cleanup.policy=\(expected)"
            )
        }
        return topics.keys.filter { policies[$0] == nil }.sorted()
    }

    /// `cleanup.policy` of existing topics, once the broker that is queried knows all of them.
    private func cleanupPolicies(of topics: [String]) throws(StreamError) -> [String: String] {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        while true {
            do throws(StreamError) {
                return try askForCleanupPolicies(of: topics)
            } catch {
                switch error {
                // A broker or proxy that does not support this request rejects it as a whole.
                case .configuration: return [:]
                // A topic that was created a moment ago.
                case .unknownTopic where ContinuousClock.now < deadline: KafkaClient.pause(milliseconds: 20)
                default: throw error
                }
            }
        }
    }

    private func askForCleanupPolicies(of topics: [String]) throws(StreamError) -> [String: String] {
        let client = try client()
        var resources: [OpaquePointer?] = topics.map { rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, $0) }
        defer { for resource in resources { rd_kafka_ConfigResource_destroy(resource) } }
        let options = rd_kafka_AdminOptions_new(client.handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        return try answer(
            to: "describe topics",
            options: options,
            ask: { rd_kafka_DescribeConfigs(client.handle, &resources, resources.count, options, $0) },
            read: { event throws(StreamError) in
                var count = 0
                let result = rd_kafka_event_DescribeConfigs_result(event)
                let found = rd_kafka_DescribeConfigs_result_resources(result, &count)
                var policies: [String: String] = [:]
                for index in 0..<count {
                    guard let topic = found?[index] else { continue }
                    let name = String(cString: rd_kafka_ConfigResource_name(topic))
                    policies[name] = try Self.cleanupPolicy(of: topic, name, client)
                }
                return policies
            }
        )
    }

    /// `cleanup.policy` of a described topic; nil when the broker does not let this client see it.
    private static func cleanupPolicy(
        of topic: OpaquePointer,
        _ name: String,
        _ client: KafkaClient
    ) throws(StreamError) -> String? {
        let error = KafkaError(rd_kafka_ConfigResource_error(topic), operation: "describe topic \(name)")
        switch error.code {
        case .noError: break
        case .topicAuthorizationFailed, .clusterAuthorizationFailed: return nil
        case .unknownTopicOrPartition: throw .unknownTopic(name)
        default: throw client.streamError(error)
        }
        var count = 0
        let entries = rd_kafka_ConfigResource_configs(topic, &count)
        for index in 0..<count {
            guard let entry = entries?[index], let value = rd_kafka_ConfigEntry_value(entry) else { continue }
            if String(cString: rd_kafka_ConfigEntry_name(entry)) == "cleanup.policy" { return String(cString: value) }
        }
        return nil
    }
}

extension TopicSpecification.Cleanup {
    /// The value of `cleanup.policy`.
    var policy: String {
        switch self {
        case .delete: "delete"
        case .compact: "compact"
        }
    }
}
