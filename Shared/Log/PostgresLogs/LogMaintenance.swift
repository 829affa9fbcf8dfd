import Foundation
import MessageLogs
import Synchronization

/// Removes what topics do not keep: a thread that asks for the lease now and then, and does one round when it gets it.
final class LogMaintenance: Sendable {
    private struct State {
        var isStarted = false
        var isStopped = false
    }

    /// The lease: whoever holds this advisory lock cleans.
    private static let lease: Int64 = 0x5553_4C4C_0002
    private static let stepCount: Int64 = 5_000
    /// Well within the time after which the server ends an idle session.
    private static let longestPause: Duration = .seconds(10)

    private let state = Mutex(State())
    private let ended = Completion()
    private let pipe: WakePipe
    private let address: PostgresAddress
    private let settings: PostgresLogSettings

    init(_ address: PostgresAddress, _ settings: PostgresLogSettings) throws(PostgresError) {
        guard let pipe = WakePipe() else { throw PostgresError.noDescriptors }
        self.pipe = pipe
        self.address = address
        self.settings = settings
    }

    func start() {
        state.withLock { $0.isStarted = true }
        let thread = Thread { [self] in run() }
        thread.name = "userllm.maintenance"
        thread.start()
    }

    func stop() {
        state.withLock { $0.isStopped = true }
        pipe.wake()
    }

    func waitUntilStopped() async {
        guard state.withLock({ $0.isStarted }) else { return }
        await ended.wait()
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func run() {
        defer { ended.complete() }
        var next = ContinuousClock.now + settings.maintenanceInterval
        while !isStopped {
            let left = (next - .now).milliseconds
            if left > 0 {
                _ = pipe.wait(socket: nil, events: 0, milliseconds: Int32(clamping: left))
                continue
            }
            next = .now + settings.maintenanceInterval
            let link = PostgresLink(address, Self.patient(settings.connection), pipe)
            // A round that fails changes nothing that the next does not do; the server's log has the reason.
            // A process that is stopped in the middle must not keep the lease.
            let limit = "SET idle_session_timeout = 60000"
            if (try? link.connect()) != nil, (try? link.execute(limit, "limiting the lease")) != nil {
                _ = try? Self.round(settings) { sql, parameters throws(PostgresError) in
                    guard !isStopped else { throw .cancelled }
                    let start = ContinuousClock.now
                    let result = try link.query(sql, parameters, "removing old records")
                    // Nobody waits for it, and others want the server: it works at most half of the time.
                    let pause = min(.now - start, Self.longestPause)
                    _ = pipe.wait(socket: nil, events: 0, milliseconds: Int32(clamping: pause.milliseconds))
                    return result
                }
            }
            link.disconnect()
        }
    }

    /// Cleaning a large partition takes longer than any other statement.
    static func patient(_ settings: PostgresSettings) -> PostgresSettings {
        var settings = settings
        settings.applicationName += "-maintenance"
        settings.statementTimeout = .seconds(300)
        settings.responseTimeout = .seconds(330)
        return settings
    }

    /// One round on a connection of a task.
    static func round(
        _ settings: PostgresLogSettings,
        _ connection: PostgresConnection
    ) async throws(PostgresError) -> Bool {
        guard try await connection.query(lock, [.int8(lease)], operation: "asking for the lease").bool(0, 0) else {
            return false
        }
        for step in steps(settings) {
            var count = try await connection.query(step.sql, step.parameters, operation: "removing old records").int8(
                0,
                0
            )
            while step.isRepeated, count > 0 {
                count = try await connection.query(step.sql, step.parameters, operation: "removing old records").int8(
                    0,
                    0
                )
            }
        }
        _ = try await connection.query(unlock, [.int8(lease)], operation: "giving the lease back")
        return true
    }

    /// One round on a thread.
    private static func round(
        _ settings: PostgresLogSettings,
        _ query: (String, [PostgresValue]) throws(PostgresError) -> PostgresResult
    ) throws(PostgresError) {
        guard try query(lock, [.int8(lease)]).bool(0, 0) else { return }
        for step in steps(settings) {
            var count = try query(step.sql, step.parameters).int8(0, 0)
            while step.isRepeated, count > 0 { count = try query(step.sql, step.parameters).int8(0, 0) }
        }
        _ = try query(unlock, [.int8(lease)])
    }

    private static let lock = "SELECT pg_try_advisory_lock($1)"
    private static let unlock = "SELECT pg_advisory_unlock($1)"

    private struct Step {
        let sql: String
        let parameters: [PostgresValue]
        /// Run again until it gives 0.
        let isRepeated: Bool
    }

    private static func steps(_ settings: PostgresLogSettings) -> [Step] {
        [
            Step(sql: retain, parameters: [.int8(stepCount)], isRepeated: true),
            Step(
                sql: compact,
                parameters: [
                    .int8(Int64(settings.compactionThreshold)), .int8(settings.tombstoneRetention.milliseconds),
                ],
                isRepeated: true
            ),
            Step(sql: forget, parameters: [], isRepeated: false),
        ]
    }

    /// Deletes some thousand records that are too old, oldest first, and moves the low watermarks with them.
    ///
    /// Times grow with offsets, so each partition's oldest records are looked at and no further. The partitions are locked
    /// in the order in which appends lock them.
    private static let retain = """
        WITH expired AS (
            SELECT p.id, o.record_offset
            FROM userllm_log.partitions p JOIN userllm_log.topics t ON t.id = p.topic_id
            CROSS JOIN LATERAL (
                SELECT l.record_offset FROM (
                    SELECT r.record_offset, r.appended_at FROM userllm_log.records r
                    WHERE r.partition_id = p.id AND r.record_offset < p.next_offset
                    ORDER BY r.record_offset LIMIT $1
                ) l
                WHERE l.appended_at < extract(epoch FROM clock_timestamp()) * 1000 - t.retention_milliseconds
            ) o
            WHERE t.retention_milliseconds IS NOT NULL
            ORDER BY p.id, o.record_offset LIMIT $1
        ), removed AS (
            DELETE FROM userllm_log.records r USING expired e
            WHERE r.partition_id = e.id AND r.record_offset = e.record_offset
            RETURNING r.partition_id, r.record_offset
        ), lowest AS (
            SELECT partition_id, max(record_offset) + 1 AS low FROM removed GROUP BY partition_id
        ), locked AS (
            SELECT id FROM userllm_log.partitions WHERE id IN (SELECT partition_id FROM lowest)
            ORDER BY id FOR NO KEY UPDATE
        ), moved AS (
            UPDATE userllm_log.partitions p SET low_offset = greatest(p.low_offset, l.low)
            FROM lowest l JOIN locked k ON k.id = l.partition_id WHERE p.id = l.partition_id
        )
        SELECT count(*) FROM removed
        """

    /// Cleans the compacted partition that has the most to clean, and gives 1 when there was one.
    ///
    /// Of each key only the newest record stays, and a deletion goes when it is old. The partition's row comes last: appends
    /// wait for whoever has changed it.
    private static let compact = """
        WITH dirty AS (
            SELECT p.id, p.next_offset AS upto
            FROM userllm_log.partitions p JOIN userllm_log.topics t ON t.id = p.topic_id
            CROSS JOIN LATERAL (
                SELECT count(*) AS held FROM (
                    SELECT FROM userllm_log.records r
                    WHERE r.partition_id = p.id AND r.record_offset < p.compacted_offset LIMIT 10000000) h
            ) h
            WHERE t.retention_milliseconds IS NULL
                AND p.next_offset - p.compacted_offset >= greatest($1, h.held / 2)
                AND p.next_offset > p.compacted_offset
            ORDER BY p.next_offset - p.compacted_offset DESC LIMIT 1
        ), newest AS (
            SELECT r.partition_id, r.key, max(r.record_offset) AS record_offset
            FROM userllm_log.records r JOIN dirty d ON r.partition_id = d.id AND r.record_offset < d.upto
            WHERE r.key IS NOT NULL GROUP BY r.partition_id, r.key
        ), removed AS (
            DELETE FROM userllm_log.records r USING newest n
            WHERE r.partition_id = n.partition_id AND r.key = n.key
                AND (r.record_offset < n.record_offset
                    OR (r.record_offset = n.record_offset AND r.value IS NULL
                        AND r.appended_at < extract(epoch FROM clock_timestamp()) * 1000 - $2))
            RETURNING 1
        ), moved AS (
            UPDATE userllm_log.partitions p SET compacted_offset = d.upto
            FROM dirty d CROSS JOIN (SELECT count(*) FROM removed) r WHERE p.id = d.id
        )
        SELECT count(*) FROM dirty
        """

    /// Forgets which appends took effect, after a time in which nobody asks any more.
    private static let forget = """
        WITH forgotten AS (
            DELETE FROM userllm_log.appends WHERE appended_at < now() - interval '10 minutes' RETURNING 1
        )
        SELECT count(*) FROM forgotten
        """
}
