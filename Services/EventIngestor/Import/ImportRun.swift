import Concurrency
import Datasets
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// One run of an import: sends batches, and records in the state what was sent.
struct ImportRun {
    /// The import's progress.
    var state: ImportState
    /// Whether everything was sent.
    var isComplete = false
    /// The path of the state.
    var path: String
    let reader: ImportReader
    let shutdown: Shutdown

    private let source: ImportSource
    private let log: any MessageLog
    private let partitionCount: Int32
    private let batchCount: Int
    private let logger: Logger
    private var pace: Pace
    /// The user of the last event that is certainly in the log; nil before this run sent any.
    private var lastUser: [UInt8]?
    /// When the offset of such an event is looked up next.
    private var nextLook: ContinuousClock.Instant

    init(_ flow: ImportFlow, _ state: ImportState, _ path: String, until shutdown: Shutdown) {
        self.state = state
        self.path = path
        self.shutdown = shutdown
        reader = ImportReader(flow.source)
        source = flow.source
        log = flow.log
        partitionCount = flow.partitionCount
        batchCount = flow.configuration.batchCount
        logger = flow.logger
        pace = Pace(rate: flow.configuration.rate)
        // Soon at first, so that a process that is killed leaves an offset behind.
        nextLook = .now
    }

    /// Sends everything the reader has, beginning with what an earlier process had in flight.
    mutating func sendAll(_ progress: (ImportBatch, ImportState) -> Void) async throws {
        isComplete = false
        try await finishPending()
        do {
            while !shutdown.isRequested {
                let batch = try await reader.take(pace.batchCount(atMost: batchCount))
                isComplete = batch.events.isEmpty
                if isComplete { break }
                try await send(batch, missing: nil)
                progress(batch, state)
                if .now >= nextLook { await notePlace() }
                await pace.wait(afterSending: batch.events.count, until: shutdown)
            }
        } catch {
            // A bad line: record what was appended before it, so that the next run need not search the log for it.
            if state.pendingCount == 0 { try state.write(to: path) }
            throw error
        }
        await notePlace()
        try state.write(to: path)
    }

    // MARK: - The offset in the log

    /// Looks up the offset of the last event that is certainly in the log, so that the next run can recognize the log.
    ///
    /// This happens every minute, so that a slow import that is killed has an offset that the log has not deleted yet.
    private mutating func notePlace() async {
        guard let lastUser, !shutdown.isRequested, state.place?.number != state.doneCount - 1 else { return }
        nextLook = .now + .seconds(60)
        do throws(StreamError) {
            let place = try await trace.latestPlace(of: state.doneCount - 1, user: lastUser)
            if let place { state.place = place }
        } catch {
            // The next run searches for it, and takes longer.
            logger.warning("the log was not read back", metadata: ["error": "\(error)"])
        }
    }

    private var trace: ImportTrace { ImportTrace(log: log, partitionCount: partitionCount, id: state.id) }

    // MARK: - One batch

    /// Sends the events that an earlier process had in flight, without those it had already sent.
    private mutating func finishPending() async throws {
        guard state.pendingCount > 0 else { return }
        let batch = try await reader.take(state.pendingCount)
        guard batch.events.count == state.pendingCount else {
            throw ProcessFailure(
                "\(path) says that \(state.pendingCount) events were under way after \(state.doneCount), and \(source.file) "
                    + "has only \(batch.events.count) more: was --skip-bad-lines left out?",
                exitCode: .badInput
            )
        }
        let missing = try await numbersMissing()
        logger.notice(
            "going on with an import that was interrupted",
            metadata: ["import.done": "\(state.doneCount)", "import.missing": "\(missing.count)"]
        )
        try await send(batch, missing: missing)
    }

    /// Appends a batch and records in the state that it is done; retries while the log is unavailable.
    private mutating func send(_ batch: ImportBatch, missing: Set<Int>?) async throws {
        state.pendingCount = batch.events.count
        state.pendingPosition = batch.position
        if let checkpoint = batch.checkpoint { state.checkpoints.keep(checkpoint) }
        try state.write(to: path)
        var missing = missing
        var overtaken: Set<Int> = []
        var isOutcomeKnown = true
        var backoff = Backoff()
        while true {
            do throws(StreamError) {
                if !isOutcomeKnown { missing = try await numbersMissing() }
                if let missing { overtaken.formUnion(tellOvertaken(batch.events, missing)) }
                isOutcomeKnown = false
                try await log.append(records(of: batch.events, only: missing))
                break
            } catch {
                guard case .unavailable = error, !shutdown.isRequested else { throw error }
                logger.warning("the log did not take events, trying again", metadata: ["error": "\(error)"])
            }
            try await shutdown.wait(atMost: backoff.next())
        }
        state.doneCount += batch.events.count
        if let counts = batch.counts { state.totals?.counts = counts }
        state.totals?.overtakenCount += overtaken.count
        lastUser = batch.events.last?.user ?? lastUser
        state.pendingCount = 0
        state.position = batch.position
        state.pendingPosition = nil
    }

    private func records(of events: [ImportEvent], only missing: Set<Int>?) -> [OutgoingRecord] {
        var records: [OutgoingRecord] = []
        let trace = trace
        records.reserveCapacity(missing?.count ?? events.count)
        for (index, event) in events.enumerated() where missing?.contains(state.doneCount + index) ?? true {
            records.append(
                OutgoingRecord(
                    topic: Topic.userEvents.rawValue,
                    key: event.user,
                    value: event.value,
                    headers: [trace.header(state.doneCount + index)]
                )
            )
        }
        return records
    }

    /// Reports events that are missing while the log has later events of the same users, because they can no longer be
    /// put in order.
    ///
    /// A log appends a batch in order, so this happens only if one part of it times out and the rest does not.
    private func tellOvertaken(_ events: [ImportEvent], _ missing: Set<Int>) -> Set<Int> {
        var later: Set<[UInt8]> = []
        var overtaken: Set<Int> = []
        for (index, event) in events.enumerated().reversed() {
            if !missing.contains(state.doneCount + index) {
                later.insert(event.user)
            } else if later.contains(event.user) {
                overtaken.insert(index)
            }
        }
        guard !overtaken.isEmpty else { return [] }
        logger.warning(
            "the log took events and not earlier ones of the same users, which come after them now",
            metadata: ["import.overtaken": "\(overtaken.count)"]
        )
        return overtaken
    }

    /// The numbers of the batch in flight that the log does not have; reads the whole topic.
    private func numbersMissing() async throws(StreamError) -> Set<Int> {
        try await trace.missing(of: state.doneCount..<(state.doneCount + state.pendingCount))
    }
}
