import CRdkafka
import MessageLogs

/// librdkafka's own mock of a cluster, in this process.
final class MockedCluster {
    private let client: OpaquePointer
    private let cluster: OpaquePointer

    /// Where it listens, as an address of a log.
    var address: String { "kafka://" + String(cString: rd_kafka_mock_cluster_bootstraps(cluster)) }

    init(brokers: Int32) throws {
        guard let client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), nil, 0) else {
            throw StreamError.closed
        }
        guard let cluster = rd_kafka_mock_cluster_new(client, brokers) else {
            rd_kafka_destroy(client)
            throw StreamError.closed
        }
        self.client = client
        self.cluster = cluster
        rd_kafka_mock_topic_create(cluster, "events", 2, 1)
    }

    deinit {
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy(client)
    }

    func coordinate(transactions id: String, by broker: Int32) {
        rd_kafka_mock_coordinator_set(cluster, "transaction", id, broker)
    }

    func coordinate(group: String, by broker: Int32) {
        rd_kafka_mock_coordinator_set(cluster, "group", group, broker)
    }

    /// Makes a broker the leader of a partition of `events`.
    func lead(_ partition: Int32, by broker: Int32) {
        rd_kafka_mock_partition_set_leader(cluster, "events", partition, broker)
    }

    func setDown(_ broker: Int32) { rd_kafka_mock_broker_set_down(cluster, broker) }

    func setUp(_ broker: Int32) { rd_kafka_mock_broker_set_up(cluster, broker) }

    /// How long every answer of a broker takes from now on.
    func delay(_ broker: Int32, by milliseconds: Int32) {
        rd_kafka_mock_broker_set_rtt(cluster, broker, milliseconds)
    }

    /// Refuses the next requests to append, one for each error.
    func refuseAppends(with errors: [rd_kafka_resp_err_t]) {
        let produce: Int16 = 0
        rd_kafka_mock_push_request_errors_array(cluster, produce, errors.count, errors)
    }
}
