import Datasets
import InputFiles
import Messages
import ServiceRuntime
import Sorting
import StreamProcessing
import Streams

/// Sends the events of a file to the log, each exactly once, and each user's in order.
///
/// Each record carries a header with the import's id and the event's number. Before an append, the state file says which
/// numbers are under way; after a crash, or an append whose outcome is not known, the log is read back for those numbers,
/// and only the missing ones are sent.
struct ImportFlow: Service {
    let name = "import"
    let configuration: ImportConfiguration
    let source: ImportSource
    let log: any MessageLog
    let partitionCount: Int32
    let logger: Logger

    func run(until shutdown: Shutdown) async throws {
        let path = configuration.statePath(for: source.file)
        for earlier in configuration.earlierStatePaths(for: source.file) where RegularFile.exists(earlier) {
            throw ImportState.ofFirstVersion(earlier, nil)
        }
        // Two that go on from one state would both send what comes next.
        guard let lock = try FileLock(file: source.file) else {
            throw ProcessFailure(
                "another import of \(source.file) is running: wait until it has ended, or stop it",
                exitCode: .unavailable
            )
        }
        defer { withExtendedLifetime(lock) {} }
        let found = try ImportState.read(path)
        let state = found ?? ImportState(order: source.order.rawValue, format: source.format)
        try check(state, path)
        var run = ImportRun(self, state, path, until: shutdown)
        do {
            // Whoever reads a file for this task ends soon after the process is told to.
            try await InputFile.$stop.withValue(ReadingStop { shutdown.isRequested }) { try await send(&run) }
        } catch {
            guard shutdown.isRequested, Self.isStop(error) else { throw error }
        }
        guard run.isComplete else {
            throw ProcessFailure(
                "stopped after \(run.state.doneCount) events: the same command goes on from there",
                exitCode: .interrupted
            )
        }
    }

    /// Whether an error only says that the process is to end.
    private static func isStop(_ error: any Error) -> Bool {
        error is DatasetError || error is InputFileError || error as? SortError == .stopped
    }

    private func check(_ state: ImportState, _ path: String) throws(ProcessFailure) {
        guard state.format == source.format else {
            throw ProcessFailure(
                "\(path) says that \(source.file) was read as \(state.format), and now it would be as \(source.format): "
                    + "say --format \(state.format), or name another state with --state",
                exitCode: .badInput
            )
        }
        guard state.order == source.order.rawValue else {
            throw ProcessFailure(
                "\(path) says that \(state.doneCount) events of \(source.file) were sent with --order \(state.order), and "
                    + "now it would be \(source.order.rawValue): go on with --order \(state.order); deleting that file sends all "
                    + "events again",
                exitCode: .badInput
            )
        }
    }

    // MARK: - All there is to send

    private func send(_ run: inout ImportRun) async throws {
        try await checkLogHasWhatIsDone(run.state, path: run.path, until: run.shutdown)
        if !source.dataset.passedOver.isEmpty {
            logger.notice(
                "other files of the folder are passed over",
                metadata: ["import.files": source.dataset.passedOver.joined(separator: ", ")]
            )
        }
        if source.dataset.isDoubtful {
            logger.warning(
                "the file is taken for sequences of users and items, and may as well be text",
                metadata: ["import.file": source.file]
            )
        }
        logger.notice(
            "importing",
            metadata: ["import.file": source.file, "import.order": source.order.rawValue, "import.why": source.reason]
        )
        let before = run.state.doneCount
        run.state = try await run.reader.prove(run.state, path: run.path)
        switch source.order {
        case .file: try await sendFile(&run)
        case .time, .interleaved: try await sendParts(&run)
        }
        if run.isComplete { try await complete(&run, sent: run.state.doneCount - before) }
    }

    private func sendFile(_ run: inout ImportRun) async throws {
        try await run.reader.open(from: run.state.position ?? .start)
        let bar = ProgressBar("importing", total: source.byteCount, unit: "bytes")
        defer { bar.finish() }
        try await run.sendAll { batch, state in
            bar.update(batch.bytesRead, note: "\(state.doneCount) events")
        }
    }

    /// Sends what is left of the last part, and then what the file holds behind it as another.
    private func sendParts(_ run: inout ImportRun) async throws {
        if let part = run.state.part, run.state.doneCount < part.endEvent {
            let (reader, state) = (run.reader, run.state)
            try await reading { progress in try await reader.resume(part, state, progress) }
            try await sendPart(&run)
            guard run.isComplete else { return }
            run.isComplete = false
        }
        guard try await beginPart(&run) else {
            run.isComplete = !run.shutdown.isRequested
            return
        }
        try await sendPart(&run)
    }

    private func beginPart(_ run: inout ImportRun) async throws -> Bool {
        let start = run.state.part?.end ?? .start
        let (reader, before) = (run.reader, run.state)
        let begun = try await reading { progress in try await reader.begin(from: start, before, progress) }
        guard let begun, let part = begun.part else { return false }
        run.state = begun
        let runs = await reader.runCount
        logger.info(
            part.isSorted ? "the events are sorted" : "the events are in order of time already",
            metadata: ["import.events": "\(part.eventCount)", "import.runs": "\(runs)"]
        )
        if part.lateCount > 0 {
            logger.warning(
                "new events are older than some that their users had before; they come after those, as what was sent cannot "
                    + "be taken back",
                metadata: ["import.late": "\(part.lateCount)"]
            )
        }
        return true
    }

    /// Reads a part, with a bar that shows how far.
    private func reading<Value: Sendable>(
        _ body: (_ progress: @escaping @Sendable (Int) -> Void) async throws -> Value
    ) async throws -> Value {
        let bar = ProgressBar("reading", total: source.byteCount, unit: "bytes")
        defer { bar.finish() }
        return try await body { bar.update($0) }
    }

    private func sendPart(_ run: inout ImportRun) async throws {
        guard let part = run.state.part else { return }
        let bar = ProgressBar("importing", total: part.endEvent, unit: "events", done: run.state.doneCount)
        defer { bar.finish() }
        try await run.sendAll { _, state in bar.update(state.doneCount) }
    }

    private func complete(_ run: inout ImportRun, sent: Int) async throws {
        guard sent > 0 else {
            guard run.state.doneCount > 0 else {
                return logger.warning("the file holds no event", metadata: ["import.file": source.file])
            }
            return logger.notice(
                "all events are imported already; events that are added to the file will be sent by the same command",
                metadata: ["import.events": "\(run.state.doneCount)", "import.state": run.path]
            )
        }
        let counts = await run.reader.counts
        var metadata: Logger.Metadata = [
            "import.events": "\(run.state.doneCount)", "import.sent": "\(sent)",
            "import.skipped": "\(counts[.badLines])", "import.late": "\(run.state.part?.lateCount ?? 0)",
            "import.overtaken": "\(run.overtakenCount)",
        ]
        for (counter, count) in counts.happened where counter != .badLines {
            metadata["import.\(counter.name)"] = "\(count)"
        }
        if !counts.unknownFields.isEmpty {
            metadata["import.unknown_fields"] = counts.unknownFields.joined(separator: ", ")
        }
        logger.info("imported all events", metadata: metadata)
    }

    // MARK: - The log

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
                    let high = try await log.watermarks(of: TopicPartition(Topic.userEvents.rawValue, partition)).high
                    let (sum, isOver) = end.addingReportingOverflow(max(0, high))
                    end = isOver ? .max : sum
                }
                return end
            } catch {
                guard case .unavailable = error, !shutdown.isRequested else { throw error }
                logger.warning("the log did not say where it ends, asking again", metadata: ["error": "\(error)"])
            }
            try await shutdown.wait(atMost: backoff.next())
        }
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
