import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import UserTimelines

/// Rebuilds the timelines of newly assigned partitions one at a time, while other partitions are processed.
///
/// A partition's records flow once its timelines are complete. A partition that is reassigned before that is abandoned:
/// when `cancel` returns, nothing more is written to its timelines, and it will not be resumed.
final class Restores: Sendable {
    private final class Restore: Sendable {
        let partition: TopicPartition
        let stop = Shutdown()
        let ended = Shutdown()
        /// Read once for all partitions of one assignment.
        let rejections: Rejections

        init(_ partition: TopicPartition, _ rejections: Rejections) {
            self.partition = partition
            self.rejections = rejections
        }
    }

    /// The latest rejected records, once they are read.
    private final class Rejections: Sendable {
        private let found = Mutex<[Rejection]?>(nil)

        func all(of log: any MessageLog) async throws -> [Rejection] {
            if let found = found.withLock({ $0 }) { return found }
            let topic = Topic.userEvents.rejected
            let read = Mutex<[Rejection]>([])
            for number in 0..<(try await log.partitionCount(of: topic) ?? 0) {
                try await log.replay(TopicPartition(topic, number), last: Restores.rejectedCount) { records in
                    let more = records.compactMap { Rejection(headersOf: $0) }
                    read.withLock { $0 += more }
                }
            }
            return found.withLock { found in
                found = read.withLock { $0 }
                return found ?? []
            }
        }
    }

    private struct State {
        var open: [TopicPartition: Restore] = [:]
        var done: Set<TopicPartition> = []
        /// The restore in progress.
        var running: Restore?
    }

    /// How far back rejected records are searched.
    private static let rejectedCount: Int64 = 1_000

    private let log: any MessageLog
    private let subscription: any Subscription
    private let timelines: Timelines
    private let rejectionRate: RejectionRate
    private let metrics: EncoderWorkerMetrics
    private let health: HealthCondition
    private let logger: Logger
    private let queue: AsyncStream<Restore>
    private let queueing: AsyncStream<Restore>.Continuation
    private let state = Mutex(State())

    /// Starts without partitions.
    init(
        _ log: any MessageLog,
        _ subscription: any Subscription,
        _ timelines: Timelines,
        rejectionRate: RejectionRate = RejectionRate(),
        metrics: EncoderWorkerMetrics,
        health: HealthCondition,
        logger: Logger
    ) {
        self.log = log
        self.subscription = subscription
        self.timelines = timelines
        self.rejectionRate = rejectionRate
        self.metrics = metrics
        self.health = health
        self.logger = logger
        (queue, queueing) = AsyncStream.makeStream()
    }

    /// Whether a partition's timelines are complete.
    func isDone(_ partition: TopicPartition) -> Bool { state.withLock { $0.done.contains(partition) } }

    /// Queues partitions for a restore.
    func begin(_ partitions: [TopicPartition]) {
        metrics.stream.partitions.add(partitions, isReady: false)
        let rejections = Rejections()
        let restores = partitions.map { Restore($0, rejections) }
        state.withLock { state in
            for restore in restores {
                state.open[restore.partition] = restore
                state.done.remove(restore.partition)
            }
            show(state)
        }
        for restore in restores { queueing.yield(restore) }
    }

    /// Abandons partitions, restored or not.
    func cancel(_ partitions: [TopicPartition]) async {
        metrics.stream.partitions.remove(partitions)
        let open = state.withLock { state in
            let open = partitions.compactMap { state.open.removeValue(forKey: $0) }
            state.done.subtract(partitions)
            show(state)
            return (all: open, running: open.first { $0 === state.running })
        }
        for restore in open.all { restore.stop.request() }
        // Queued ones are skipped when their turn comes.
        await open.running?.ended.requested()
    }

    /// Ends `run`.
    func end() {
        let open = state.withLock { Array($0.open.values) }
        for restore in open { restore.stop.request() }
        queueing.finish()
    }

    /// Restores until `end`.
    ///
    /// - Throws: what the log throws, and `ProcessFailure` when too much of the state cannot be read.
    func run() async throws {
        for await restore in queue {
            let isOpen = state.withLock { state in
                guard state.open[restore.partition] === restore else { return false }
                state.running = restore
                return true
            }
            guard isOpen else { continue }
            defer {
                state.withLock { $0.running = nil }
                restore.ended.request()
            }
            let start = ContinuousClock.now
            guard try await isRestored(restore) else { continue }
            let agreed = await timelines.agreedOffset(of: restore.partition.partition)
            // Resuming from here only saves work and duplicate rejections: each user's timeline already knows which
            // older records it has applied. An older record that was not applied would be lost silently. So several
            // users must agree that the group is past it; a single timeline may be wrong.
            let startOffsets = agreed.map { [restore.partition: $0 - Timelines.repeatedCount] } ?? [:]
            // Under the lock, so that an abandoned partition is never resumed.
            let isTaken = state.withLock { state in
                guard state.open[restore.partition] === restore else { return false }
                state.open[restore.partition] = nil
                state.done.insert(restore.partition)
                metrics.stream.partitions.add([restore.partition], isReady: true)
                subscription.resume([restore.partition], notBefore: startOffsets)
                show(state)
                return true
            }
            guard isTaken else { continue }
            metrics.restoreDuration.observe(ContinuousClock.now - start)
            metrics.show(await timelines.size)
            logger.info(
                "restored the timelines of a partition",
                metadata: [
                    "log.partition": "\(restore.partition)",
                    "timelines.agreed.offset": agreed.map { "\($0)" } ?? "none",
                ]
            )
        }
    }

    /// Rebuilds a partition's timelines from their topic, up to its true end, so that nothing committed is missed.
    ///
    /// - Returns: false if it was abandoned.
    private func isRestored(_ restore: Restore) async throws -> Bool {
        await timelines.open(restore.partition.partition)
        let source = TopicPartition(Topic.userTimelines.rawValue, restore.partition.partition)
        do {
            let restored = try await restore.stop.cancelling { [self] in
                let restored = Mutex(Timelines.Restored())
                let ends = Mutex<[Int32: Int64]>([:])
                try await log.replay(source) { [self] records in
                    if restore.stop.isRequested { throw CancellationError() }
                    var rest = records[...]
                    while !rest.isEmpty {
                        let more = await timelines.restore(rest, ends: ends.withLock { $0 })
                        restored.withLock { $0.add(more) }
                        rest = rest.dropFirst(more.recordCount)
                        guard let partition = more.unknownEnd else { continue }
                        // Queried after the end of the timelines: the timelines before that end know no record past
                        // this one.
                        let named = TopicPartition(restore.partition.topic, partition)
                        let end = try await log.watermarks(of: named).high
                        ends.withLock { $0[partition] = end }
                    }
                }
                await timelines.finishRestore(of: restore.partition.partition)
                await timelines.restore(try await restore.rejections.all(of: log), of: restore.partition)
                return restored.withLock { $0 }
            }
            guard let restored else { return false }
            try report(restored, of: source)
            return true
        } catch {
            // A cancelled replay ends with an error of the log.
            if restore.stop.isRequested { return false }
            throw error
        }
    }

    /// Reports which stored timelines are not used.
    ///
    /// A few invalid ones are skipped. Many are a sign of another problem, and continuing would lose their users'
    /// histories.
    private func report(_ restored: Timelines.Restored, of source: TopicPartition) throws {
        if restored.foreignCount > 0 {
            logger.warning(
                "passed over timelines that are not in their users' partitions: a version that did not send records on "
                    + "left them, and what they counted is not in the rows from now on",
                metadata: ["log.partition": "\(source)", "timelines.count": "\(restored.foreignCount)"]
            )
        }
        guard restored.refusedCount > 0 else { return }
        metrics.refusedTimelines.increment(by: restored.refusedCount)
        for refusal in restored.refusals {
            logger.error("passed over a stored timeline", metadata: ["error": refusal.description])
        }
        guard let limit = rejectionRate.limit(exceededBy: restored.refusedCount, of: restored.recordCount) else {
            return
        }
        throw ProcessFailure(
            "\(restored.refusedCount) of \(restored.recordCount) timelines of \(source) cannot be used, more than \(limit): "
                + "stopped, because this looks like a wrong version or a topic that was made anew rather than wrong "
                + "records. The first: \(restored.refusals.first?.description ?? ""). To begin anew with these users, set "
                + "--rejected-share off",
            exitCode: .badInput
        )
    }

    /// The worker is ready when every partition it holds is ready.
    private func show(_ state: borrowing State) {
        let waiting = state.open.keys.min { $0.partition < $1.partition }
        if let waiting {
            health.fails("the timelines of \(waiting) are being restored")
        } else if state.done.isEmpty {
            health.fails("no partitions are assigned")
        } else {
            health.holds()
        }
    }
}
