import PostgresClient
import MessageLogs

/// One query for records of several partitions.
struct RecordFetch: Sendable {
    /// For each partition's id the first offset to read.
    let positions: [Int32: Int64]
    /// For each partition's id the offset to stop before; a missing one has no end.
    var ends: [Int32: Int64] = [:]
    let settings: PostgresLogSettings
    let maximumCount: Int

    /// What was found.
    struct Found: Sendable {
        /// The records, in order within each partition.
        var records: [Record] = []
        /// Partitions, by id, whose records at the position were removed by retention, with the first offset that
        /// remains.
        var gone: [Int32: Int64] = [:]
    }

    /// Runs the query once.
    ///
    /// A sixteenth of the batch is shared evenly by the partitions that have records, so none waits behind another. The
    /// rest goes to one partition after another, in random order: a partition that lags far behind then delivers many
    /// records at once, and a reader that works by key can combine its work on them. The number of bytes is shared
    /// evenly, but each partition in the batch gives at least one record.
    func run(
        _ connection: PostgresConnection,
        _ topics: TopicDirectory
    ) async throws(PostgresError) -> Found {
        // With more partitions than records fit in a batch, they take turns at random, or the last would wait forever.
        let partitions = positions.keys.shuffled()
        let rows = try await connection.query(
            Self.sql,
            [
                .int4s(partitions), .int8s(partitions.map { positions[$0] }),
                .int8s(partitions.map { ends[$0] ?? Int64.max }), .int8(Int64(maximumCount)),
                .int8(Int64(settings.maximumBatchByteCount)),
            ],
            operation: "reading records"
        )
        var found = Found()
        found.records.reserveCapacity(rows.count)
        for row in 0..<rows.count {
            let identifier = rows.int4(row, 0)
            let low = rows.int8(row, 6)
            if low > positions[identifier, default: 0] { found.gone[identifier] = low }
            guard !rows.isNull(row, 1), let place = topics.place(identifier) else { continue }
            found.records.append(
                Record(
                    source: place,
                    offset: rows.int8(row, 1),
                    timestamp: rows.int8(row, 2),
                    key: rows.optionalBytes(row, 3),
                    value: rows.optionalBytes(row, 4),
                    headers: HeaderCoding.decode(rows.optionalBytes(row, 5))
                )
            )
        }
        return found
    }

    private static let sql = """
        SELECT w.id, r.record_offset, r.appended_at, r.key, r.value, r.headers, w.low_offset
        FROM (
            SELECT *, $5 / count(*) OVER () AS byte_share,
                own + least(available - own, greatest($4 - sum(own) OVER () - coalesce(sum(available - own) OVER (
                    ORDER BY turn ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW), 0), 0))::int8 AS share
            FROM (
                SELECT *, least(available, greatest($4 / (16 * count(*) OVER ()), 1)) AS own
                FROM (
                    SELECT w.*, p.low_offset,
                        greatest(least(p.next_offset, w.stop) - greatest(w.start, p.low_offset), 1) AS available
                    FROM unnest($1, $2, $3) WITH ORDINALITY w (id, start, stop, turn)
                    JOIN userllm_log.partitions p ON p.id = w.id AND p.next_offset > w.start
                    -- Not EXISTS, for which the planner may join with all records.
                    WHERE p.low_offset > w.start OR (
                        SELECT l.record_offset FROM userllm_log.records l
                        WHERE l.partition_id = w.id AND l.record_offset >= w.start AND l.record_offset < w.stop
                        ORDER BY l.record_offset LIMIT 1) IS NOT NULL
                    ORDER BY w.turn LIMIT $4
                ) f
            ) s
        ) w
        LEFT JOIN LATERAL (
            SELECT l.*,
                sum(coalesce(octet_length(l.key), 0) + coalesce(octet_length(l.value), 0))
                    OVER (ORDER BY l.record_offset) - coalesce(octet_length(l.key), 0) - coalesce(octet_length(l.value), 0)
                    AS bytes_before
            FROM (
                SELECT * FROM userllm_log.records
                WHERE partition_id = w.id AND record_offset >= w.start AND record_offset < w.stop
                ORDER BY record_offset LIMIT w.share
            ) l
        ) r ON r.bytes_before < w.byte_share OR r.bytes_before = 0
        WHERE r.record_offset IS NOT NULL OR w.low_offset > w.start
        """
}
