import CRdkafka
import Concurrency
import MessageLogs

@testable import KafkaLogs

/// Deletes the oldest records of a partition, as retention does.
actor RecordDeleter {
    private let executor = BlockingExecutor(label: "record.deleter")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func delete(before offset: Int64, in partition: TopicPartition, address: String) throws {
        let client = try KafkaClient(KafkaConfiguration(address: address), role: .administrator, name: "deleter")
        defer { client.end() }
        let list = PartitionList([partition: offset])
        var request = rd_kafka_DeleteRecords_new(list.pointer)
        defer { rd_kafka_DeleteRecords_destroy(request) }
        let queue = rd_kafka_queue_new(client.handle)
        defer { rd_kafka_queue_destroy(queue) }
        rd_kafka_DeleteRecords(client.handle, &request, 1, nil, queue)
        let event = rd_kafka_queue_poll(queue, 30_000)
        defer { rd_kafka_event_destroy(event) }
        let code = event == nil ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event)
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, operation: "delete records") }
    }
}
