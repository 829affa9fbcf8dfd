import PostgresClient
import Concurrency
import Foundation
import MessageLogs
import Synchronization

/// Removes records past their topics' retention: a thread that tries to get the lease periodically, and does one round
/// when it gets it.
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
    private let ended = Latch<Void>()
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
        await ended.opened()
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func run() {
        defer { ended.open() }
        var next = ContinuousClock.now + settings.maintenanceInterval
        var failures = 0
        while !isStopped {
            let left = (next - .now).milliseconds
            if left > 0 {
                _ = pipe.wait(socket: nil, events: 0, milliseconds: Int32(clamping: left))
                continue
            }
            next = .now + settings.maintenanceInterval
            do throws(PostgresError) {
                _ = try Self.round(address, settings, pipe, pauses: true) { isStopped }
                failures = 0
            } catch {
                guard !isStopped else { return }
                // Harmless, because the next round does the same work; but if none succeeds, the disk fills.
                failures += 1
                settings.maintenanceFailed(error.description, failures)
            }
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

    /// One round now, on a thread of its own, as its statements block.
    ///
    /// - Returns: false when another process is doing it.
    static func round(
        _ address: PostgresAddress,
        _ settings: PostgresLogSettings
    ) async throws(PostgresError) -> Bool {
        guard let pipe = WakePipe() else { throw PostgresError.noDescriptors }
        let outcome = Latch<Result<Bool, PostgresError>>()
        Thread.detachNewThread {
            let result = Result { () throws(PostgresError) in
                try round(address, settings, pipe, pauses: false) { false }
            }
            outcome.open(with: result)
        }
        return try await outcome.opened().get()
    }

    /// One round on this thread, on a connection of its own.
    ///
    /// - Parameters:
    ///   - address: of the server.
    ///   - settings: of the log.
    ///   - pipe: wakes the thread.
    ///   - pauses: whether it works at most half of the time, because nobody waits for it and others need the server.
    ///   - isStopped: whether to end before the next statement.
    /// - Returns: false when another process has the lease.
    /// - Throws: `PostgresError`; `.cancelled` when it was ended.
    private static func round(
        _ address: PostgresAddress,
        _ settings: PostgresLogSettings,
        _ pipe: WakePipe,
        pauses: Bool,
        isStopped: () -> Bool
    ) throws(PostgresError) -> Bool {
        let link = PostgresLink(address, patient(settings.connection), pipe)
        defer { link.disconnect() }
        try link.connect()
        // A process that is stopped halfway must not keep the lease.
        try link.execute("SET idle_session_timeout = 60000", "limiting the lease")
        guard try link.query(lock, [.int8(lease)], "asking for the lease").bool(0, 0) else { return false }
        for step in steps(settings) {
            var count: Int64
            repeat {
                guard !isStopped() else { throw .cancelled }
                let start = ContinuousClock.now
                count = try link.query(step.sql, step.parameters, "removing old records").int8(0, 0)
                if pauses {
                    let pause = min(.now - start, longestPause)
                    _ = pipe.wait(socket: nil, events: 0, milliseconds: Int32(clamping: pause.milliseconds))
                }
            } while step.isRepeated && count > 0
        }
        _ = try link.query(unlock, [.int8(lease)], "giving the lease back")
        return true
    }

    private static let lock = "SELECT pg_try_advisory_lock($1)"
    private static let unlock = "SELECT pg_advisory_unlock($1)"

    private struct Step {
        let sql: String
        let parameters: [PostgresValue]
        /// Whether to run it again until it returns 0.
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
    /// Times grow with offsets, so only each partition's oldest records are examined. The partitions are locked in the
    /// order in which appends lock them.
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

    /// Cleans the compacted partition that has the most to clean, and returns 1 when there was one.
    ///
    /// Only the newest record of each key is kept, and tombstones are removed when they are old. The partition's row
    /// comes last, because appends wait for a transaction that has changed it.
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

    /// Forgets which appends took effect, once nobody will query them any more.
    private static let forget = """
        WITH forgotten AS (
            DELETE FROM userllm_log.appends WHERE appended_at < now() - interval '10 minutes' RETURNING 1
        )
        SELECT count(*) FROM forgotten
        """
}
