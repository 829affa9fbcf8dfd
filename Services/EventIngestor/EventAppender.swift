import Failpoints
import ServiceRuntime
import MessageLogs
import Synchronization

/// Appends the events of requests, and bounds how many bytes may wait for the log.
///
/// Each request is appended on its own, because both logs group concurrent appends into few transactions or batches. An
/// acknowledged event is durable, so an event sent after the acknowledgement comes behind it.
final class EventAppender: Sendable {
    /// Why events were not accepted.
    enum Failure: Error, Equatable {
        /// Too many bytes are already waiting for the log.
        case busy
        /// The log did not accept them; some of them may be in it.
        case log(StreamError)
    }

    private let log: any MessageLog
    private let maximumWaitingByteCount: Int
    private let metrics: EventIngestorMetrics
    private let health: HealthCondition
    private let logger: Logger
    private let waitingByteCount = Mutex(0)

    init(
        log: any MessageLog,
        maximumWaitingByteCount: Int,
        metrics: EventIngestorMetrics,
        health: HealthCondition,
        logger: Logger
    ) {
        self.log = log
        self.maximumWaitingByteCount = maximumWaitingByteCount
        self.metrics = metrics
        self.health = health
        self.logger = logger
    }

    /// Appends records and returns when they are durable; a request that already has records in the log is never
    /// refused as busy.
    func append(_ records: [OutgoingRecord], isContinuation: Bool = false) async throws(Failure) {
        let byteCount = records.reduce(0) { $0 + ($1.value?.count ?? 0) + ($1.key?.count ?? 0) + 64 }
        guard takeRoom(byteCount, isCertain: isContinuation) else { throw .busy }
        defer { giveBack(byteCount) }
        let start = ContinuousClock.now
        do throws(StreamError) {
            Failpoint.ingestorBeforeAppend.reach()
            try await log.append(records)
            Failpoint.ingestorAfterAppend.reach()
        } catch {
            metrics.sendingErrors.increment()
            health.fails("\(error)")
            logger.warning(
                "the log did not take events",
                metadata: ["error": "\(error)", "batch.count": "\(records.count)"]
            )
            throw .log(error)
        }
        metrics.batchDuration.observe(ContinuousClock.now - start)
        metrics.batchSize.observe(Double(records.count))
        metrics.processed.increment(by: records.count)
        health.holds()
    }

    /// One request is always admitted, however large; otherwise it never could be.
    private func takeRoom(_ byteCount: Int, isCertain: Bool) -> Bool {
        let waiting: Int? = waitingByteCount.withLock { waiting in
            guard isCertain || waiting == 0 || waiting + byteCount <= maximumWaitingByteCount else { return nil }
            waiting += byteCount
            return waiting
        }
        guard let waiting else { return false }
        metrics.waitingBytes.set(Double(waiting))
        return true
    }

    private func giveBack(_ byteCount: Int) {
        let waiting = waitingByteCount.withLock { waiting in
            waiting -= byteCount
            return waiting
        }
        metrics.waitingBytes.set(Double(waiting))
    }
}
