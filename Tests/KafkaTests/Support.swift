import Foundation
import Streams
import Synchronization
import TestSupport

@testable import Kafka

/// Opens a log on the tests' broker and makes a topic that no other test knows.
func openLog(
    partitions: Int32,
    settings: [String: String] = [:]
) async throws -> (log: KafkaLog, topic: String) {
    let log = try await PrivateKafka.shared().openLog(settings: settings)
    let topic = "test-\(UUID().uuidString)"
    try await log.createTopics([
        TopicSpecification(name: topic, partitionCount: partitions, cleanup: .delete(after: .seconds(86_400)))
    ])
    return (log, topic)
}

/// All records that a replay gives.
func replayed(_ log: KafkaLog, _ partition: TopicPartition) async throws -> [Record] {
    let records = Mutex<[Record]>([])
    try await log.replay(partition) { piece in records.withLock { $0 += piece } }
    return records.withLock { $0 }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "nil" }

/// Asks for events until a batch comes; others are noted.
func nextBatch(_ subscription: any Subscription) async throws -> Batch {
    while let event = try await subscription.next() {
        if case .batch(let batch) = event { return batch }
    }
    throw StreamError.closed
}

/// Reads and commits until this many records came.
func drain(_ subscription: any Subscription, count: Int) async throws -> [Record] {
    var records: [Record] = []
    while records.count < count {
        let batch = try await nextBatch(subscription)
        try await subscription.commit(batch, producing: [])
        records += batch.records
    }
    return records
}
