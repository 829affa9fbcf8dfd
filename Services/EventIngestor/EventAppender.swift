import Failpoints
import ServiceRuntime
import Streams

/// Appends the events of many requests together: what comes while an append is under way goes with the next one.
///
/// One append at a time, so events of one user that were answered stay in order. The first of those who wait makes the
/// next append for all; nobody waits on a clock.
actor EventAppender {
    /// Why events were not taken.
    enum Failure: Error, Equatable {
        /// Too many bytes wait for the log already.
        case busy
        /// The log did not take them; some of them may be in it.
        case log(StreamError)
    }

    private enum Turn {
        case lead
        case done(Failure?)
    }

    private struct Waiter {
        let records: [OutgoingRecord]
        let byteCount: Int
        let continuation: CheckedContinuation<Turn, Never>
    }

    private static let maximumRecordCount = 20_000

    private let log: any MessageLog
    private let maximumWaitingByteCount: Int
    private let metrics: EventIngestorMetrics
    private let health: HealthCondition
    private let logger: Logger
    private var waiters: [Waiter] = []
    private var waitingByteCount = 0
    private var isAppending = false

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

    /// Appends records and returns when they are durable.
    func append(_ records: [OutgoingRecord]) async throws(Failure) {
        let byteCount = records.reduce(0) { $0 + ($1.value?.count ?? 0) + ($1.key?.count ?? 0) + 64 }
        // One request may always go, however large, or it never could.
        guard waitingByteCount == 0 || waitingByteCount + byteCount <= maximumWaitingByteCount else { throw .busy }
        change(by: byteCount)
        defer { change(by: -byteCount) }
        if isAppending {
            let turn = await withCheckedContinuation { continuation in
                waiters.append(Waiter(records: records, byteCount: byteCount, continuation: continuation))
            }
            if case .done(let failure) = turn {
                if let failure { throw failure }
                return
            }
        }
        isAppending = true
        let others = takeOthers(besides: records.count)
        let failure = await send(records + others.flatMap(\.records))
        for other in others { other.continuation.resume(returning: .done(failure)) }
        if waiters.isEmpty {
            isAppending = false
        } else {
            waiters.removeFirst().continuation.resume(returning: .lead)
        }
        if let failure { throw failure }
    }

    private func takeOthers(besides count: Int) -> [Waiter] {
        var count = count
        let others = waiters.prefix { waiter in
            count += waiter.records.count
            return count <= Self.maximumRecordCount
        }
        waiters.removeFirst(others.count)
        return Array(others)
    }

    private func send(_ records: [OutgoingRecord]) async -> Failure? {
        let start = ContinuousClock.now
        do throws(StreamError) {
            Failpoint.ingestorBeforeAppend.reach()
            try await log.append(records)
            Failpoint.ingestorAfterAppend.reach()
            metrics.batchDuration.observe(ContinuousClock.now - start)
            metrics.batchSize.observe(Double(records.count))
            metrics.processed.increment(by: records.count)
            health.holds()
            return nil
        } catch {
            metrics.sendingErrors.increment()
            health.fails("\(error)")
            logger.warning(
                "the log did not take events",
                metadata: ["error": "\(error)", "batch.count": "\(records.count)"]
            )
            return .log(error)
        }
    }

    private func change(by byteCount: Int) {
        waitingByteCount += byteCount
        metrics.waitingBytes.set(Double(waitingByteCount))
    }
}
