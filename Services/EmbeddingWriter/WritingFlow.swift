import Foundation
import Messages
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs
import UserModels

/// `user-embeddings` in, rows out: rows and offsets in one database transaction.
///
/// The next batch is read while the rows of the current one are written.
struct WritingFlow: Service {
    /// How a group membership ended.
    private enum End {
        case stopped
        /// Another writer moved the offsets, or a commit of ours did whose reply was lost: restart from them.
        case fenced
    }

    let name = "writing-flow"
    private let log: any MessageLog
    private let options: SubscriptionOptions
    private let table: EmbeddingTable
    private let shape: ModelBundle.ContextShape?
    private let ends: EventEnds
    private let rejectionRate: RejectionRate
    private let metrics: EmbeddingWriterMetrics
    private let health: EmbeddingWriterHealth
    private let logger: Logger

    /// Creates the flow from its components.
    init(
        _ log: any MessageLog,
        _ options: SubscriptionOptions,
        _ table: EmbeddingTable,
        shape: ModelBundle.ContextShape? = nil,
        rejectionRate: RejectionRate = RejectionRate(),
        metrics: EmbeddingWriterMetrics,
        health: EmbeddingWriterHealth,
        logger: Logger
    ) {
        self.log = log
        self.options = options
        self.table = table
        self.shape = shape
        ends = EventEnds(log)
        self.rejectionRate = rejectionRate
        self.metrics = metrics
        self.health = health
        self.logger = logger
    }

    /// Processes batches until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        var rate = rejectionRate
        while !shutdown.isRequested {
            let subscription = try await log.subscribe(options)
            let end: End
            do {
                end = try await serve(subscription, &rate, until: shutdown)
            } catch {
                await subscription.close()
                throw error
            }
            await subscription.close()
            metrics.stream.partitions.removeAll()
            if case .fenced = end { metrics.stream.refusedCommits.increment() }
        }
    }

    private func serve(
        _ subscription: any Subscription,
        _ rate: inout RejectionRate,
        until shutdown: Shutdown
    ) async throws -> End {
        // One owner id per membership: writes of this process's earlier memberships are fenced like another process's.
        let writer = RowWriter(table, owner: UUID().uuidString, metrics: metrics, health: health, logger: logger)
        do {
            while let event = try await subscription.next(until: shutdown) {
                switch event {
                case .assigned(let partitions):
                    metrics.stream.partitions.add(partitions, isReady: false)
                    try await subscription.start(at: try await writer.claim(partitions, until: shutdown))
                    metrics.stream.partitions.add(partitions, isReady: true)
                case .revoked(let partitions, _):
                    await writer.forget(partitions)
                    metrics.stream.partitions.remove(partitions)
                case .batch(let first):
                    var batch: ReadBatch? = try await read(first)
                    while let current = batch {
                        async let ready = readyBatch(of: subscription, until: shutdown)
                        try await write(current, subscription, writer, &rate, until: shutdown)
                        batch = try await ready
                    }
                }
            }
        } catch is RowWriter.Fenced {
            logger.warning("the offsets in the database were moved; joining the group anew")
            return .fenced
        } catch is CancellationError where shutdown.isRequested {
            // Stopped while the database was unavailable: unwritten records are read again.
            return .stopped
        }
        return .stopped
    }

    /// A batch and the changes its records amount to.
    private struct ReadBatch: Sendable {
        let batch: Batch
        let read: EmbeddingBatch
        let change: EmbeddingBatch.Change
        let start = ContinuousClock.now

        init(_ batch: Batch, _ read: EmbeddingBatch) {
            self.batch = batch
            self.read = read
            change = EmbeddingBatch.Change(read.entries)
        }
    }

    private func readyBatch(of subscription: any Subscription, until shutdown: Shutdown) async throws -> ReadBatch? {
        guard !shutdown.isRequested, let batch = try await subscription.readyBatch() else { return nil }
        return try await read(batch)
    }

    private func read(_ batch: Batch) async throws -> ReadBatch {
        var read = EmbeddingBatch(batch.records)
        let claims = EmbeddingLimits.claims(read.entries.lazy.compactMap(\.embedding))
        if !claims.isEmpty {
            read.hold(to: EmbeddingLimits(shape: shape, extent: try await ends.extent(for: claims)))
        }
        return ReadBatch(batch, read)
    }

    private func write(
        _ batch: ReadBatch,
        _ subscription: any Subscription,
        _ writer: RowWriter,
        _ rate: inout RejectionRate,
        until shutdown: Shutdown
    ) async throws {
        let (batch, read, change, start) = (batch.batch, batch.read, batch.change, batch.start)
        metrics.stream.received.increment(by: batch.records.count)
        // Publish rejections before passing their offsets: a crash in between rejects a record twice but never loses
        // one.
        try await reject(read.rejections)
        let refused = try await writer.write(
            read.entries,
            change,
            upTo: batch.nextOffsets,
            until: shutdown
        ) { rejections in
            try await reject(rejections)
        }
        await commitAdvisory(batch, subscription)
        let rejections = read.rejections + refused
        metrics.stream.countBatch(batch.records.count, rejections: rejections, since: start)
        let failure = rate.count(
            received: batch.records.count,
            rejected: rejections.count,
            lastReason: rejections.last?.reason
        )
        if let failure { throw failure }
    }

    private func reject(_ rejections: [RejectedRecord]) async throws {
        guard !rejections.isEmpty else { return }
        try await log.append(rejections.map { $0.outgoing(service: "embedding-writer") })
    }

    /// Sends an advisory commit to the log, for tools that show lag; the authoritative offsets are in the database.
    private func commitAdvisory(_ batch: Batch, _ subscription: any Subscription) async {
        do throws(StreamError) {
            _ = try await subscription.commitResult(of: batch, producing: [])
        } catch {
            metrics.stream.countError(.sending)
            logger.warning("the log did not take the offsets", metadata: ["error": error.description])
        }
    }
}
