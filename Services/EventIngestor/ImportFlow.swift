import Datasets
import Identifiers
import Messages
import ServiceRuntime
import StreamProcessing
import Streams
import Synchronization

/// Sends the events of a file to the log, each exactly once.
///
/// Each record carries a header with the import's fingerprint and the event's number. Before an append, the state file
/// says which numbers are under way; after a crash, or an append whose outcome is not known, the log is read back for
/// those numbers, and only the missing ones are sent.
struct ImportFlow: Service {
    static let headerName = "import"

    let name = "import"
    let configuration: ImportConfiguration
    let source: ImportSource
    let log: any MessageLog
    let partitionCount: Int32
    let logger: Logger

    func run(until shutdown: Shutdown) async throws {
        let path = configuration.statePath(for: source.file)
        var state = try ImportState(path: path, fingerprint: source.fingerprint)
        try await checkLogHasWhatIsDone(state, path: path, until: shutdown)
        if state.isComplete {
            return logger.notice(
                "all events are imported already; delete the state to import them again",
                metadata: ["import.events": "\(state.doneCount)", "import.state": path]
            )
        }
        var events = try source.events(after: state.doneCount, from: state.position)
        let bar = progressBar(events, state)
        defer { bar.finish() }
        try await finishPending(&state, &events, path)
        var pace = Pace(rate: configuration.rate)
        while !shutdown.isRequested {
            let batch = try events.take(pace.batchCount(atMost: configuration.batchCount))
            bar.update(progress(events, state), note: "\(state.doneCount) events")
            if batch.isEmpty { return try complete(&state, events, path) }
            try await send(batch, &state, events.position, path, missing: nil, until: shutdown)
            bar.update(progress(events, state), note: "\(state.doneCount) events")
            await pace.wait(afterSending: batch.count, until: shutdown)
        }
        throw ProcessFailure(
            "stopped after \(state.doneCount) events: the same command goes on from there",
            exitCode: .interrupted
        )
    }

    // MARK: - One batch

    /// Sends what an earlier process had under way, without what it had sent.
    private func finishPending(_ state: inout ImportState, _ events: inout ImportEvents, _ path: String) async throws {
        guard state.pendingCount > 0 else { return }
        let batch = try events.take(state.pendingCount)
        let missing = try await numbersMissing(in: state)
        logger.notice(
            "going on with an import that was interrupted",
            metadata: ["import.done": "\(state.doneCount)", "import.missing": "\(missing.count)"]
        )
        try await send(batch, &state, events.position, path, missing: missing, until: Shutdown())
    }

    /// Appends a batch and keeps in the state that it is done; tries again while the log is away.
    private func send(
        _ batch: [Event],
        _ state: inout ImportState,
        _ position: ReadPosition?,
        _ path: String,
        missing: Set<Int>?,
        until shutdown: Shutdown
    ) async throws {
        state.pendingCount = batch.count
        try state.write(to: path)
        var missing = missing
        var isOutcomeKnown = true
        var backoff = Backoff()
        while true {
            do throws(StreamError) {
                if !isOutcomeKnown { missing = try await numbersMissing(in: state) }
                isOutcomeKnown = false
                try await log.append(try records(of: batch, from: state.doneCount, only: missing))
                break
            } catch {
                guard case .unavailable = error, !shutdown.isRequested else { throw error }
                logger.warning("the log did not take events, trying again", metadata: ["error": "\(error)"])
            }
            try await shutdown.wait(atMost: backoff.next())
        }
        state.doneCount += batch.count
        state.pendingCount = 0
        state.position = position
    }

    private func records(
        of batch: [Event],
        from number: Int,
        only missing: Set<Int>?
    ) throws(StreamError) -> [OutgoingRecord] {
        var records: [OutgoingRecord] = []
        records.reserveCapacity(batch.count)
        for (index, event) in batch.enumerated() where missing?.contains(number + index) ?? true {
            do throws(MessageError) {
                records.append(try record(of: event, number: number + index))
            } catch {
                throw .fatal("event \(number + index) of \(source.file): \(error)")
            }
        }
        return records
    }

    private func record(of event: Event, number: Int) throws(MessageError) -> OutgoingRecord {
        OutgoingRecord(
            topic: Topic.userEvents.rawValue,
            key: Array(event.user.utf8),
            value: try event.encoded(),
            headers: [Header(Self.headerName, "\(source.fingerprint)/\(number)")]
        )
    }

    /// The numbers of the batch under way that the log does not have; reads all of the topic.
    private func numbersMissing(in state: ImportState) async throws(StreamError) -> Set<Int> {
        let prefix = "\(source.fingerprint)/"
        let pending = state.doneCount..<(state.doneCount + state.pendingCount)
        let found = FoundNumbers()
        for partition in 0..<partitionCount {
            do {
                try await log.replay(TopicPartition(Topic.userEvents.rawValue, partition)) { records in
                    for record in records {
                        guard let value = record.header(Self.headerName), value.hasPrefix(prefix),
                            let number = Int(value.dropFirst(prefix.count)), pending.contains(number)
                        else { continue }
                        found.insert(number)
                    }
                }
            } catch {
                throw error as? StreamError ?? .fatal("\(error)")
            }
        }
        return Set(pending).subtracting(found.numbers)
    }

    // MARK: - Beginning and end

    /// A log that was made anew at the same address has none of what the state says is done.
    private func checkLogHasWhatIsDone(_ state: ImportState, path: String, until shutdown: Shutdown) async throws {
        guard state.doneCount > 0 else { return }
        let end = try await endOfLog(until: shutdown)
        guard end >= Int64(state.doneCount) else {
            throw ProcessFailure(
                "\(path) says that \(state.doneCount) events are in the log, which has had only \(end): it is another log; "
                    + "delete that file to import all events, or name another with --state",
                exitCode: .badInput
            )
        }
    }

    /// How many records the topic has ever had; asks again while the log is away, as it is when its leader changes.
    private func endOfLog(until shutdown: Shutdown) async throws -> Int64 {
        var backoff = Backoff()
        while true {
            do throws(StreamError) {
                var end: Int64 = 0
                for partition in 0..<partitionCount {
                    end += try await log.watermarks(of: TopicPartition(Topic.userEvents.rawValue, partition)).high
                }
                return end
            } catch {
                guard case .unavailable = error, !shutdown.isRequested else { throw error }
                logger.warning("the log did not say where it ends, asking again", metadata: ["error": "\(error)"])
            }
            try await shutdown.wait(atMost: backoff.next())
        }
    }

    private func complete(_ state: inout ImportState, _ events: ImportEvents, _ path: String) throws {
        state.isComplete = true
        try state.write(to: path)
        logger.info(
            "imported all events",
            metadata: ["import.events": "\(state.doneCount)", "import.skipped": "\(events.skippedLines)"]
        )
    }

    /// Counts bytes of the file where the number of events is not known before the end.
    private func progressBar(_ events: ImportEvents, _ state: ImportState) -> ProgressBar {
        ProgressBar(
            "importing",
            total: events.total ?? source.byteCount,
            unit: events.total == nil ? "bytes" : "events",
            done: progress(events, state)
        )
    }

    private func progress(_ events: ImportEvents, _ state: ImportState) -> Int {
        events.total == nil ? events.bytesRead : state.doneCount
    }

    /// What a replay found.
    private final class FoundNumbers: Sendable {
        private let state = Mutex<Set<Int>>([])
        var numbers: Set<Int> { state.withLock { $0 } }
        func insert(_ number: Int) { _ = state.withLock { $0.insert(number) } }
    }
}

/// Keeps to a number of events per second.
struct Pace {
    private let rate: Double
    private let start = ContinuousClock.now
    private var sent = 0

    init(rate: Double) { self.rate = rate }

    /// Twenty batches a second, so that events flow evenly.
    func batchCount(atMost limit: Int) -> Int {
        rate > 0 ? min(limit, max(1, Int(rate / 20))) : limit
    }

    /// Waits until the next batch is due.
    mutating func wait(afterSending count: Int, until shutdown: Shutdown) async {
        guard rate > 0 else { return }
        sent += count
        let due = start + .seconds(Double(sent) / rate)
        let rest = due - .now
        if rest > .zero { try? await shutdown.wait(atMost: rest) }
    }
}
