import Concurrency
import Failpoints
import Messages
import PostgresClient
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs

/// Writes rows with their offsets, as the owner of some partitions.
actor RowWriter {
    /// The offsets in the database are not the ones this owner last wrote.
    struct Fenced: Error {}

    private let table: EmbeddingTable
    private let owner: String
    private let metrics: EmbeddingWriterMetrics
    private let health: EmbeddingWriterHealth
    private let logger: Logger
    /// The next offset by partition; nil before the partition's first row.
    private var positions: [TopicPartition: Int64?] = [:]

    /// Makes a writer that owns no partition.
    init(
        _ table: EmbeddingTable,
        owner: String,
        metrics: EmbeddingWriterMetrics,
        health: EmbeddingWriterHealth,
        logger: Logger
    ) {
        self.table = table
        self.owner = owner
        self.metrics = metrics
        self.health = health
        self.logger = logger
    }

    /// Takes ownership of partitions and fences their previous owners.
    ///
    /// - Returns: the offsets to resume from; partitions without rows are missing.
    func claim(_ partitions: [TopicPartition], until shutdown: Shutdown) async throws -> [TopicPartition: Int64] {
        let offsets = try await retrying(until: shutdown) {
            try await self.table.claim(
                partitions: partitions,
                group: ConsumerGroup.embeddingWriter,
                owner: self.owner
            )
        }
        for partition in partitions { positions[partition] = .some(offsets[partition]) }
        health.partitionsOwned(positions.count)
        return offsets
    }

    /// Drops partitions that were reassigned.
    func forget(_ partitions: [TopicPartition]) {
        for partition in partitions { positions[partition] = nil }
        health.partitionsOwned(positions.count)
    }

    /// Writes rows and advances the offsets, in one transaction if the database accepts all rows.
    ///
    /// A batch that it refuses is halved until the faulty row is isolated.
    /// - Parameters:
    ///   - entries: records in order.
    ///   - change: the database changes they amount to.
    ///   - offsets: the next offset of each partition, also past records that could not be decoded.
    ///   - shutdown: ends the wait while the database is unavailable.
    ///   - reject: sends rows that the database refuses to the topic of rejected records, before their offsets are
    ///     passed.
    /// - Returns: the refused records.
    /// - Throws: `Fenced`; `CancellationError` after a stop; any error that a retry cannot fix.
    func write(
        _ entries: [EmbeddingBatch.Entry],
        _ change: EmbeddingBatch.Change,
        upTo offsets: [TopicPartition: Int64],
        until shutdown: Shutdown,
        reject: @Sendable ([RejectedRecord]) async throws -> Void
    ) async throws -> [RejectedRecord] {
        do {
            try await commit(change, offsets, until: shutdown)
            return []
        } catch let error as PostgresError where error.kind == .data {
            guard entries.count > 1 else {
                let refused = entries.map { RejectedRecord($0.record, kind: .database, reason: error.description) }
                try await reject(refused)
                try await commit(EmbeddingBatch.Change([]), offsets, until: shutdown)
                return refused
            }
            let half = Array(entries.prefix(entries.count / 2))
            let halfOffsets = Batch(records: half.map(\.record)).nextOffsets
            func write(
                _ part: [EmbeddingBatch.Entry],
                upTo offsets: [TopicPartition: Int64]
            ) async throws -> [RejectedRecord] {
                let change = EmbeddingBatch.Change(part)
                return try await self.write(part, change, upTo: offsets, until: shutdown, reject: reject)
            }
            let first = try await write(half, upTo: halfOffsets)
            return first + (try await write(Array(entries.dropFirst(half.count)), upTo: offsets))
        }
    }

    private func commit(
        _ change: EmbeddingBatch.Change,
        _ offsets: [TopicPartition: Int64],
        until shutdown: Shutdown
    ) async throws {
        var moves: [TopicPartition: (expected: Int64?, next: Int64)] = [:]
        for (partition, next) in offsets {
            guard let position = positions[partition] else { throw Fenced() }
            moves[partition] = (expected: position, next: next)
        }
        let group = ConsumerGroup.embeddingWriter
        let steps = moves
        Failpoint.writerBeforeCommit.reach()
        _ = try await retrying(until: shutdown) {
            try await self.table.upsert(
                change.rows,
                deletions: change.deletions,
                offsets: steps,
                group: group,
                owner: self.owner
            )
        }
        Failpoint.writerAfterCommit.reach()
        for (partition, next) in offsets { positions[partition] = .some(next) }
        metrics.count(change.rows.embeddings, deletions: change.deletions.count)
    }

    /// Retries with back-off while the database is unavailable or busy.
    ///
    /// A commit whose reply was lost may have succeeded. The retry then finds the offsets moved and throws `Fenced`.
    private func retrying<Value: Sendable>(
        until shutdown: Shutdown,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        var backoff = Backoff()
        while true {
            do {
                let value = try await body()
                health.databaseAnswers()
                return value
            } catch let error as PostgresError {
                switch error.kind {
                case .fenced: throw Fenced()
                case .connection, .retry:
                    metrics.countRetry()
                    health.databaseFails(error.description)
                    logger.warning("the database did not take a batch", metadata: ["error": error.description])
                case .data, .configuration, .other: throw error
                }
            }
            try? await shutdown.wait(atMost: backoff.next())
            if shutdown.isRequested { throw CancellationError() }
        }
    }
}
