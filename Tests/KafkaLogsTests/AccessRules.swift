import CRdkafka
import KafkaLogs
import TestSupport

/// Says as an administrator what nobody may do, on a broker with an authorizer.
enum AccessRules {
    /// Forbids to ask for a topic's settings; everything else with it stays allowed.
    static func hideSettings(of topic: String, on address: String) throws {
        let text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 256)
        defer { text.deallocate() }
        func failure(_ what: String) -> LogConformance.Failure {
            LogConformance.Failure("\(what): \(text.baseAddress.map { String(cString: $0) } ?? "")")
        }
        text[0] = 0
        let configuration = rd_kafka_conf_new()
        let brokers = String(address.dropFirst("kafka://".count))
        rd_kafka_conf_set(configuration, "bootstrap.servers", brokers, text.baseAddress, text.count)
        guard let client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, text.baseAddress, text.count) else {
            throw failure("no client")
        }
        defer { rd_kafka_destroy(client) }
        let rules = [
            (RD_KAFKA_ACL_OPERATION_ALL, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW),
            (RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS, RD_KAFKA_ACL_PERMISSION_TYPE_DENY),
        ]
        var bindings = rules.map { operation, permission in
            rd_kafka_AclBinding_new(
                RD_KAFKA_RESOURCE_TOPIC,
                topic,
                RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                "User:ANONYMOUS",
                "*",
                operation,
                permission,
                text.baseAddress,
                text.count
            )
        }
        defer { for binding in bindings { rd_kafka_AclBinding_destroy(binding) } }
        let queue = rd_kafka_queue_new(client)
        defer { rd_kafka_queue_destroy(queue) }
        rd_kafka_CreateAcls(client, &bindings, bindings.count, nil, queue)
        guard let event = rd_kafka_queue_poll(queue, 60_000) else { throw failure("no answer to new rules") }
        defer { rd_kafka_event_destroy(event) }
        var count = 0
        let results = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &count)
        guard count == rules.count else { throw failure("\(count) rules were made") }
        for index in 0..<count where rd_kafka_acl_result_error(results?[index]) != nil {
            throw failure("rule \(index) was refused")
        }
    }
}
