import PostgresClient
import MessageLogs
import Synchronization

/// A topic as the database knows it.
struct TopicEntry: Sendable {
    let identifier: Int32
    let name: String
    /// The partitions' ids, by number.
    let partitions: [Int32]
}

/// A cache of topics; they never change once they exist, so what was read once stays valid.
final class TopicDirectory: Sendable {
    private struct State {
        var topics: [String: TopicEntry] = [:]
        var places: [Int32: TopicPartition] = [:]
    }

    private let state = Mutex(State())

    /// A topic that was read before.
    func known(_ name: String) -> TopicEntry? { state.withLock { $0.topics[name] } }

    /// The partition that an id names; those of topics that were found are known.
    func place(_ partition: Int32) -> TopicPartition? { state.withLock { $0.places[partition] } }

    /// A topic, read from the database when it is not cached; nil when there is none.
    func find(_ name: String, _ connection: PostgresConnection) async throws(PostgresError) -> TopicEntry? {
        if let topic = known(name) { return topic }
        let rows = try await connection.query(
            """
            SELECT t.id, p.id FROM userllm_log.topics t JOIN userllm_log.partitions p ON p.topic_id = t.id
            WHERE t.name = $1 ORDER BY p.partition
            """,
            [.text(name)],
            operation: "looking for topic \(name)"
        )
        guard rows.count > 0 else { return nil }
        let topic = TopicEntry(
            identifier: rows.int4(0, 0),
            name: name,
            partitions: (0..<rows.count).map { rows.int4($0, 1) }
        )
        state.withLock { state in
            state.topics[name] = topic
            for (number, identifier) in topic.partitions.enumerated() {
                state.places[identifier] = TopicPartition(name, Int32(number))
            }
        }
        return topic
    }
}

extension [TopicPartition] {
    /// By topic, then by number.
    func inOrder() -> [TopicPartition] {
        sorted { ($0.topic, $0.partition) < ($1.topic, $1.partition) }
    }
}
