import PostgresClient
public import MessageLogs
import Synchronization

extension PostgresLog {
    /// Creates topics that do not exist and checks those that do.
    public func createTopics(_ topics: [TopicSpecification]) async throws(StreamError) {
        for topic in topics {
            guard topic.partitionCount > 0, !topic.name.isEmpty, topic.name.utf8.count <= 249,
                !topic.name.utf8.contains(0)
            else {
                throw .configuration(
                    "topic \"\(topic.name)\" with \(topic.partitionCount) partitions: give 1 to 249 bytes and at least 1"
                )
            }
            let found = try await create(topic)
            guard found == topic.partitionCount else {
                throw .topicMismatch(topic: topic.name, expected: topic.partitionCount, found: found)
            }
        }
        _ = try await checkCleanup(of: topics.cleanups)
    }

    /// Compares the topics' rows with the specified cleanup policies.
    public func checkCleanup(
        of topics: [String: TopicSpecification.Cleanup]
    ) async throws(StreamError) -> [String] {
        let rows = try await ask { connection throws(PostgresError) in
            try await connection.query(
                "SELECT name, retention_milliseconds FROM userllm_log.topics WHERE name = ANY ($1)",
                [.texts(Array(topics.keys))],
                operation: "reading the settings of topics"
            )
        }
        var retentions: [String: Int64?] = [:]
        for row in 0..<rows.count { retentions.updateValue(rows.optionalInt8(row, 1), forKey: rows.text(row, 0)) }
        for (topic, cleanup) in topics.sorted(by: { $0.key < $1.key }) {
            guard let found = retentions[topic] else { throw .unknownTopic(topic) }
            guard (found == nil) != (cleanup == .compact) else { continue }
            let expected = cleanup.retentionMilliseconds.map(String.init) ?? "NULL"
            throw .settingMismatch(
                topic: topic,
                setting: "retention_milliseconds",
                expected: expected,
                found: found.map(String.init) ?? "NULL",
                advice: "UPDATE userllm_log.topics SET retention_milliseconds = \(expected) "
                    + "WHERE name = '\(topic.replacing("'", with: "''"))' (NULL keeps the newest record of each key)"
            )
        }
        return []
    }

    private func create(_ topic: TopicSpecification) async throws(StreamError) -> Int32 {
        let retention = topic.cleanup.retentionMilliseconds.map { PostgresValue.int8($0) } ?? .null
        return try await ask { connection throws(PostgresError) in
            _ = try await connection.query(
                """
                WITH topic AS (
                    INSERT INTO userllm_log.topics (name, partition_count, retention_milliseconds)
                    VALUES ($1, $2, $3::int8) ON CONFLICT (name) DO NOTHING RETURNING id, partition_count)
                INSERT INTO userllm_log.partitions (topic_id, partition)
                    SELECT t.id, n FROM topic t, generate_series(0, t.partition_count - 1) n
                """,
                [.text(topic.name), .int4(topic.partitionCount), retention],
                operation: "creating topic \(topic.name)"
            )
            let count = try await connection.query(
                "SELECT partition_count FROM userllm_log.topics WHERE name = $1",
                [.text(topic.name)],
                operation: "checking topic \(topic.name)"
            )
            return count.int4(0, 0)
        }
    }

    /// The number of partitions of a topic; nil when there is no such topic.
    public func partitionCount(of topic: String) async throws(StreamError) -> Int32? {
        try await ask { [topics] connection throws(PostgresError) in
            try await topics.find(topic, connection).map { Int32($0.partitions.count) }
        }
    }

    /// The first offset that is still there, and one past the last.
    public func watermarks(of partition: TopicPartition) async throws(StreamError) -> (low: Int64, high: Int64) {
        let identifier = try await identifier(of: partition)
        let row = try await ask { connection throws(PostgresError) in
            try await connection.query(
                "SELECT low_offset, next_offset FROM userllm_log.partitions WHERE id = $1",
                [.int4(identifier)],
                operation: "reading the watermarks of \(partition)"
            )
        }
        return (row.int8(0, 0), row.int8(0, 1))
    }

    /// The offsets from which a group resumes; a partition without a commit is missing.
    public func committedOffsets(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64] {
        let entry = try await self.topic(topic)
        let rows = try await ask { connection throws(PostgresError) in
            try await connection.query(
                """
                SELECT p.partition, g.next_offset
                FROM userllm_log.group_offsets g JOIN userllm_log.partitions p ON p.id = g.partition_id
                WHERE g.group_name = $1 AND p.topic_id = $2 AND g.next_offset IS NOT NULL
                """,
                [.text(group), .int4(entry.identifier)],
                operation: "reading the offsets of group \(group)"
            )
        }
        var offsets: [TopicPartition: Int64] = [:]
        for row in 0..<rows.count { offsets[TopicPartition(topic, rows.int4(row, 0))] = rows.int8(row, 1) }
        return offsets
    }

    /// How many records of each partition a group has still to read.
    ///
    /// Counted by offsets, so removed records of a compacted topic count too, but not when no records remain after the
    /// offset.
    public func lags(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64] {
        let entry = try await self.topic(topic)
        let rows = try await ask { connection throws(PostgresError) in
            try await connection.query(
                """
                SELECT p.partition, CASE WHEN c.next < p.next_offset AND EXISTS (
                        SELECT FROM userllm_log.records r WHERE r.partition_id = p.id AND r.record_offset >= c.next)
                    THEN p.next_offset - c.next ELSE 0 END::int8
                FROM userllm_log.partitions p
                LEFT JOIN userllm_log.group_offsets g ON g.group_name = $1 AND g.partition_id = p.id
                CROSS JOIN LATERAL (SELECT greatest(coalesce(g.next_offset, 0), p.low_offset) AS next) c
                WHERE p.topic_id = $2
                """,
                [.text(group), .int4(entry.identifier)],
                operation: "reading the lag of group \(group)"
            )
        }
        var lags: [TopicPartition: Int64] = [:]
        for row in 0..<rows.count { lags[TopicPartition(topic, rows.int4(row, 0))] = rows.int8(row, 1) }
        return lags
    }

    private func ask<Result: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws(PostgresError) -> Result
    ) async throws(StreamError) -> Result {
        try checkOpen()
        do throws(PostgresError) {
            return try await reader.retrying(until: .now + settings.readTimeout, body)
        } catch {
            throw StreamError(error)
        }
    }
}

extension TopicSpecification.Cleanup {
    /// The retention time; nil for a compacted topic.
    fileprivate var retentionMilliseconds: Int64? {
        switch self {
        case .compact: nil
        case .delete(let after): after.milliseconds
        }
    }
}

/// The subscriptions that must end with their log.
final class OpenSubscriptions: Sendable {
    private struct Entry {
        weak var subscription: PostgresSubscription?
    }

    private let entries = Mutex<[Entry]>([])

    func add(_ subscription: PostgresSubscription) {
        entries.withLock { entries in
            entries.removeAll { $0.subscription == nil }
            entries.append(Entry(subscription: subscription))
        }
    }

    func closeAll() async {
        let open = entries.withLock { entries in
            defer { entries = [] }
            return entries.compactMap(\.subscription)
        }
        for subscription in open { await subscription.close() }
    }
}
