import Catalogues
import Failpoints
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import UserModels
import UserTimelines

/// `user-events` in, `user-timelines` and `user-embeddings` out, one commit per batch.
///
/// While one batch is encoded, the previous one is committed and the next one is read.
struct EncodingFlow: Service {
    /// The flow's components.
    struct Parts: Sendable {
        let log: any MessageLog
        let subscription: any Subscription
        let encoder: Encoder
        /// Partition count of `user-events`.
        let partitionCount: Int32
        let modelVersion: String
        let timelineLength: Int
        let contextRows: Int
        let contextColumns: Int
        let catalogue: Catalogue
        var rejectionRate = RejectionRate()
    }

    let name = "encoding-flow"
    private let parts: Parts
    private let metrics: EncoderWorkerMetrics
    /// The most bytes one commit may carry, not counting the last record; both logs accept that well within their time
    /// limits.
    private static let commitByteCount = 32 << 20

    private let health: HealthCondition
    private let logger: Logger
    private let ends: EventEnds
    private let notice: RerouteNotice

    /// Creates the flow from its components.
    init(_ parts: Parts, metrics: EncoderWorkerMetrics, health: HealthCondition, logger: Logger) {
        self.parts = parts
        self.metrics = metrics
        self.health = health
        self.logger = logger
        ends = EventEnds(parts.log)
        notice = RerouteNotice(logger)
    }

    /// Processes batches until the service is to stop.
    ///
    /// Timelines are restored concurrently; partitions that are already restored keep being processed.
    func run(until shutdown: Shutdown) async throws {
        let timelines = Timelines(length: parts.timelineLength, partitionCount: parts.partitionCount)
        let restores = Restores(
            parts.log,
            parts.subscription,
            timelines,
            rejectionRate: parts.rejectionRate,
            metrics: metrics,
            health: health,
            logger: logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await restores.run() }
            group.addTask {
                defer { restores.end() }
                try await takeEvents(timelines, restores, until: shutdown)
            }
            // State that cannot be restored ends the flow at once, not at the next event.
            while try await group.next() != nil {}
        }
    }

    private func takeEvents(_ timelines: Timelines, _ restores: Restores, until shutdown: Shutdown) async throws {
        var rate = parts.rejectionRate
        // At most one commit is in flight.
        try await withThrowingTaskGroup(of: Set<TopicPartition>.self) { commits in
            var refused: Set<TopicPartition> = []
            while let event = try await parts.subscription.next(until: shutdown) {
                switch event {
                case .assigned(let partitions):
                    try check(partitions)
                    restores.begin(partitions)
                case .revoked(let partitions, let lost):
                    await restores.cancel(partitions)
                    await drop(partitions, lost: lost, from: timelines)
                    refused.subtract(partitions)
                case .batch(let first):
                    var batch: Batch? = first
                    while let whole = batch?.without(refused), !whole.records.isEmpty {
                        async let ready = readyBatch(until: shutdown)
                        var rest: Batch? = whole
                        while let current = rest?.without(refused), !current.records.isEmpty {
                            let encoded = try await encode(current, timelines, restores, &rate)
                            rest =
                                current.records.count == encoded.batch.records.count
                                ? nil : current.after(encoded.batch)
                            refused.formUnion(await giveUp(try await commits.next() ?? [], timelines))
                            commits.addTask { try await commit(encoded) }
                            if let failure = encoded.failure {
                                // A poison record must not be read again after the stop.
                                _ = try await commits.next()
                                throw failure
                            }
                        }
                        batch = try await ready
                    }
                    refused.formUnion(await giveUp(try await commits.next() ?? [], timelines))
                }
                metrics.show(await timelines.size)
            }
        }
    }

    /// Checks the partition count, because it determines a user's partition and may have grown since the start.
    private func check(_ partitions: [TopicPartition]) throws {
        guard let new = partitions.first(where: { $0.partition >= parts.partitionCount }) else { return }
        throw ProcessFailure(
            "\(new) came, and there were \(parts.partitionCount) partitions when this worker started: start all workers "
                + "again, so that they agree where a user's records belong"
        )
    }

    private func readyBatch(until shutdown: Shutdown) async throws -> Batch? {
        shutdown.isRequested ? nil : try await parts.subscription.readyBatch()
    }

    private func drop(_ partitions: [TopicPartition], lost: Bool, from timelines: Timelines) async {
        await timelines.drop(partitions.map(\.partition))
        logger.info(
            lost ? "lost partitions" : "gave partitions back",
            metadata: ["log.partitions": partitions.map(\.description).sorted().joined(separator: " ")]
        )
    }

    // MARK: - Batches

    /// Applies and encodes a batch, or as much of its beginning as fits into one commit.
    private func encode(
        _ batch: Batch,
        _ timelines: Timelines,
        _ restores: Restores,
        _ rate: inout RejectionRate
    ) async throws -> EncodedBatch {
        let start = ContinuousClock.now
        for partition in batch.nextOffsets.keys {
            guard restores.isDone(partition) else {
                throw ProcessFailure("records of \(partition) came before its timelines were restored")
            }
            guard await timelines.holds(partition.partition) else {
                throw ProcessFailure("records of \(partition) came, which was not assigned")
            }
        }
        let claims = EventRouting.claims(of: batch.records)
        let extent = claims.isEmpty ? [:] : try await ends.extent(for: claims).ends
        let limit = TimelineUpdate.OutputLimit(
            byteCount: Self.commitByteCount,
            embeddingByteCount: 4 * (parts.contextRows + 1) * parts.contextColumns + 2 * Limits.seenItemCount
        )
        let update = await timelines.apply(batch.records, ends: extent, limit: limit)
        let batch = batch.records.count == update.recordCount ? batch : batch.prefix(update.recordCount)
        metrics.stream.received.increment(by: batch.records.count)
        metrics.show(await timelines.size)
        Failpoint.encoderAfterTimelines.reach()
        let failure = rate.count(
            received: batch.records.count,
            rejected: update.rejections.count,
            lastReason: update.rejections.last?.reason
        )
        let histories = update.changed.map(\.timeline.events)
        let encoded = histories.isEmpty ? [] : await parts.encoder.encode(histories)
        Failpoint.encoderAfterEmbeddings.reach()
        return EncodedBatch(batch: batch, update: update, encoded: encoded, failure: failure, start: start)
    }

    /// Commits a batch; returns the partitions whose commit was refused because one of them was reassigned.
    private func commit(_ encoded: EncodedBatch) async throws -> Set<TopicPartition> {
        let (batch, update) = (encoded.batch, encoded.update)
        let outputs = try encoded.outputs(
            modelVersion: parts.modelVersion,
            rows: parts.contextRows,
            columns: parts.contextColumns,
            catalogue: parts.catalogue
        )
        if case .refused(let reason) = try await parts.subscription.commitResult(of: batch, producing: outputs) {
            metrics.stream.refusedCommits.increment()
            logger.warning("the commit of a batch was refused", metadata: ["reason": reason])
            return Set(batch.nextOffsets.keys)
        }
        Failpoint.encoderAfterCommit.reach()
        metrics.count(batch, update, since: encoded.start)
        notice.add(update.reroutes)
        logger.debug(
            "committed a batch",
            metadata: ["batch.count": "\(batch.records.count)", "users.count": "\(update.changed.count)"]
        )
        return []
    }

    /// Drops the timelines of partitions whose commit was refused, and returns these partitions.
    ///
    /// Their timelines are ahead of the committed offsets. A new assignment follows and restores them.
    private func giveUp(_ partitions: Set<TopicPartition>, _ timelines: Timelines) async -> Set<TopicPartition> {
        await timelines.drop(partitions.map(\.partition))
        return partitions
    }
}
