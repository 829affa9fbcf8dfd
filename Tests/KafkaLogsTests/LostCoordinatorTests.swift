import CRdkafka
import Concurrency
import Foundation
import MessageLogs
import Testing

@testable import KafkaLogs

/// A group whose coordinator is away while a transaction's offsets are to be sent to it.
@Suite(.timeLimit(.minutes(2))) struct LostCoordinatorTests {
    /// librdkafka would wait for it without limit (confluentinc/librdkafka#5456).
    @Test func aTransactionEndsWhoseGroupHasNoCoordinator() async throws {
        let cluster = try MockedCluster(brokers: 2)
        cluster.coordinate(transactions: "member", by: 1)
        cluster.coordinate(group: "group", by: 2)
        let member = OffsetsSender()
        #expect(try await member.commit(to: "group", id: "member", cluster.address) == nil)
        cluster.setDown(2)
        let failure = try await member.commit(to: "group", id: "member", cluster.address)
        guard case .unknown(let error) = try #require(failure) else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(error.code == .timedOut)
        // With another producer, as after every failure of this kind.
        cluster.setUp(2)
        #expect(try await member.commit(to: "group", id: "member", cluster.address) == nil)
    }
}

/// Sends offsets of no member in transactions of a producer that is opened anew each time, on a thread that may block.
private actor OffsetsSender {
    private let executor = BlockingExecutor(label: "offsets.sender")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func commit(to group: String, id: String, _ address: String) throws -> TransactionFailure? {
        let producer = try TransactionalProducer(
            KafkaConfiguration(address: address),
            id: id,
            timeout: .seconds(2),
            deadline: .now + .seconds(60)
        )
        do throws(TransactionFailure) {
            let offsets = PartitionList([TopicPartition("events", 0): 1])
            try producer.run([], offsets: offsets, member: try .naming(group))
            return nil
        } catch {
            return error
        }
    }
}

/// librdkafka's own mock of a cluster, in this process.
private final class MockedCluster {
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
        rd_kafka_mock_topic_create(cluster, "events", 1, 1)
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

    func setDown(_ broker: Int32) { rd_kafka_mock_broker_set_down(cluster, broker) }

    func setUp(_ broker: Int32) { rd_kafka_mock_broker_set_up(cluster, broker) }
}
