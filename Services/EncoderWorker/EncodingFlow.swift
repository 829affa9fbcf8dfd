import Failpoints
import Messages
import ServiceRuntime
import StreamProcessing
import Streams
import UserModels
import UserTimelines

/// `user-events` in, `user-timelines` and `user-embeddings` out, one commit per batch.
struct EncodingFlow: Service {
    /// What the flow works with.
    struct Parts: Sendable {
        let log: any MessageLog
        let subscription: any Subscription
        let encoder: Encoder
        let modelVersion: String
        let timelineLength: Int
        let contextRows: Int
        let contextColumns: Int
    }

    /// More of them overlap encoding and committing better, but make smaller commits.
    private static let partCount = 4
    /// The fewest events of a part: a commit has a cost of its own, and few events are better committed at once.
    private static let partSize = 256

    let name = "encoding-flow"
    private let parts: Parts
    private let metrics: EncoderWorkerMetrics
    private let health: HealthCondition
    private let logger: Logger

    /// Joins the parts.
    init(_ parts: Parts, metrics: EncoderWorkerMetrics, health: HealthCondition, logger: Logger) {
        self.parts = parts
        self.metrics = metrics
        self.health = health
        self.logger = logger
    }

    /// Takes batches until the service is to stop.
    ///
    /// Timelines are restored beside the batches: partitions that are here already go on meanwhile.
    func run(until shutdown: Shutdown) async throws {
        let timelines = Timelines(length: parts.timelineLength)
        let restores = Restores(
            parts.log,
            parts.subscription,
            timelines,
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
            // State that cannot be restored ends the flow at once, not with the next event.
            while try await group.next() != nil {}
        }
    }

    private func takeEvents(_ timelines: Timelines, _ restores: Restores, until shutdown: Shutdown) async throws {
        var rate = RejectionRate()
        while let event = try await parts.subscription.next(until: shutdown) {
            switch event {
            case .assigned(let partitions):
                restores.begin(partitions)
            case .revoked(let partitions, let lost):
                await restores.cancel(partitions)
                await drop(partitions, lost: lost, from: timelines)
            case .batch(let batch):
                if let early = batch.nextOffsets.keys.first(where: { !restores.isDone($0) }) {
                    throw ProcessFailure("records of \(early) came before its timelines were restored")
                }
                try await process(batch, timelines, &rate)
            }
            metrics.show(await timelines.size)
        }
    }

    private func drop(_ partitions: [TopicPartition], lost: Bool, from timelines: Timelines) async {
        await timelines.drop(partitions.map(\.partition))
        logger.info(
            lost ? "lost partitions" : "gave partitions back",
            metadata: ["log.partitions": partitions.map(\.description).sorted().joined(separator: " ")]
        )
    }

    // MARK: - Batches

    /// Parts of the batch with different partitions go one after the other, each committed while the next is encoded.
    private func process(_ batch: Batch, _ timelines: Timelines, _ rate: inout RejectionRate) async throws {
        let start = ContinuousClock.now
        metrics.stream.received.increment(by: batch.records.count)
        for partition in batch.nextOffsets.keys where await !timelines.holds(partition.partition) {
            throw ProcessFailure("records of \(partition) came, which was not assigned")
        }
        try await withThrowingTaskGroup(of: Void.self) { commits in
            for part in batch.parts(atMost: min(Self.partCount, batch.records.count / Self.partSize)) {
                let update = await timelines.apply(part.records)
                Failpoint.encoderAfterTimelines.reach()
                try rate.record(
                    received: part.records.count,
                    rejected: update.rejections.count,
                    lastReason: update.rejections.last?.reason
                )
                let histories = update.changed.map(\.timeline.events)
                let encoded = histories.isEmpty ? [] : await parts.encoder.encode(histories)
                Failpoint.encoderAfterEmbeddings.reach()
                try await commits.next()
                commits.addTask {
                    try await commit(
                        EncodedBatch(batch: part, update: update, encoded: encoded),
                        timelines,
                        since: start
                    )
                }
            }
            try await commits.waitForAll()
        }
    }

    private func commit(_ encoded: EncodedBatch, _ timelines: Timelines, since start: ContinuousClock.Instant)
        async throws
    {
        let (batch, update) = (encoded.batch, encoded.update)
        let outputs = try encoded.outputs(
            modelVersion: parts.modelVersion,
            rows: parts.contextRows,
            columns: parts.contextColumns
        )
        if case .refused(let reason) = try await parts.subscription.commitResult(of: batch, producing: outputs) {
            // The timelines are ahead of what is committed. What follows is a new assignment, which restores them.
            await timelines.drop(batch.nextOffsets.keys.map(\.partition))
            metrics.stream.refusedCommits.increment()
            return logger.warning("the commit of a batch was refused", metadata: ["reason": reason])
        }
        Failpoint.encoderAfterCommit.reach()
        metrics.count(batch, update, since: start)
        logger.debug(
            "committed a batch",
            metadata: ["batch.count": "\(batch.records.count)", "users.count": "\(update.changed.count)"]
        )
    }
}
