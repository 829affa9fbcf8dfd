import CRdkafka
import Concurrency
import Foundation
import MessageLogs

@testable import KafkaLogs

/// A transactional producer of somebody else, whose transaction stays open until it is told otherwise.
actor ForeignProducer {
    private let executor = BlockingExecutor(label: "foreign.producer")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let client: KafkaClient
    private let sender = RecordSender()
    private var hasBegun = false

    init(address: String) throws {
        let configuration = try KafkaConfiguration(address: address)
        let id = "foreign-\(UUID().uuidString)"
        client = try KafkaClient(
            configuration,
            role: .transactional(id: id, timeout: .seconds(900)),
            name: id
        )
    }

    /// Opens a transaction and sends records in it, acknowledged when this returns.
    func beginAndSend(_ records: [OutgoingRecord]) throws {
        try check(rd_kafka_init_transactions(client.handle, 30_000))
        try check(rd_kafka_begin_transaction(client.handle))
        for record in records {
            let topic = try client.topic(record.topic)
            if let error = sender.send(record, topic: topic, tag: 0, by: client) { throw error }
        }
        let code = rd_kafka_flush(client.handle, 30_000)
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, operation: "flush") }
    }

    /// Opens a transaction and commits a group's offsets in it, as nobody of the group.
    func beginAndCommit(_ offsets: [TopicPartition: Int64], group: String) throws {
        try check(rd_kafka_init_transactions(client.handle, 30_000))
        try check(rd_kafka_begin_transaction(client.handle))
        let metadata = rd_kafka_consumer_group_metadata_new(group)
        defer { rd_kafka_consumer_group_metadata_destroy(metadata) }
        let list = PartitionList(offsets)
        try check(rd_kafka_send_offsets_to_transaction(client.handle, list.pointer, metadata, 30_000))
    }

    func commit() throws {
        try check(rd_kafka_commit_transaction(client.handle, 30_000))
    }

    func abort() throws {
        try check(rd_kafka_abort_transaction(client.handle, 30_000))
    }

    private func check(_ error: OpaquePointer?) throws {
        if let error = KafkaError(taking: error, operation: "foreign producer") { throw error }
    }
}

/// Ends open records as a member does, on a thread that may block.
actor ClearingProducer {
    private let executor = BlockingExecutor(label: "clearing.producer")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func endOpenRecords(in partitions: [TopicPartition], committing isCommit: Bool, address: String) throws {
        let producer = try TransactionalProducer(
            KafkaConfiguration(address: address),
            id: "clearing-\(UUID().uuidString)",
            timeout: .seconds(30),
            deadline: .now + .seconds(30)
        )
        try producer.endOpenRecords(in: partitions, committing: isCommit)
    }
}

/// Looks at the end of a partition as a member does that does not know how its commit ended.
actor TailReader {
    private let executor = BlockingExecutor(label: "tail.reader")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func sees(_ value: [UInt8], in partition: TopicPartition, address: String) throws -> Bool {
        try CommittedTail(KafkaConfiguration(address: address), partition).contains { $0.value == value }
    }
}
