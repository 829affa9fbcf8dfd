import Foundation
import MessageLogs
import Synchronization
import TestSupport

@testable import KafkaLogs

/// Opens a log on the tests' broker and makes a topic that no other test knows.
func openLog(
    partitions: Int32,
    settings: [String: String] = [:],
    on broker: PrivateKafka? = nil
) async throws -> (log: KafkaLog, topic: String) {
    var server = broker
    if server == nil { server = try await PrivateKafka.shared() }
    guard let server else { throw StreamError.closed }
    let log = try await server.openLog(settings: settings)
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

/// A member of a group that no other test knows, unless one is named.
func groupOptions(
    _ topic: String,
    group: String = "group-\(UUID().uuidString)",
    member: String = "worker-0",
    session: Duration = .seconds(10),
    maximumBatchCount: Int = 1_000
) -> SubscriptionOptions {
    SubscriptionOptions(
        topics: [topic],
        membership: .group(group),
        maximumBatchCount: maximumBatchCount,
        memberName: member,
        sessionTimeout: session
    )
}

/// Appends a record for each number, with the number as key and value.
func fill(_ log: KafkaLog, _ topic: String, _ values: some Sequence<Int>) async throws {
    try await log.append(values.map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: bytes("\($0)")) })
}

/// A commit without outputs that is to be found by what was committed beside its offsets.
func pendingCommit(_ offsets: [TopicPartition: Int64], _ metadata: String) -> PendingCommit {
    PendingCommit(offsets: offsets, metadata: metadata, outputs: [], startedAt: 0)
}

extension KafkaSubscription {
    /// What the member's group has committed, as of now.
    func committedOffsets(of partitions: [TopicPartition]) throws(StreamError) -> [TopicPartition: CommittedOffset] {
        try recovery.currentOffsets(of: partitions)
    }

    /// The same without a write, and whether a transaction is open that could change it.
    func groupOffsets(of partitions: [TopicPartition]) throws(StreamError) -> GroupOffsets {
        try recovery.groupOffsets(of: partitions)
    }

    /// As if a connection had been lost after the last commit, which had this metadata instead of its own.
    func doubtLastCommit(instead metadata: String? = nil) {
        producer.isInDoubt = true
        if let metadata { recovery.lastCommit?.metadata = metadata }
    }
}
