import Datasets
import Files
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// Sends the events of a file to the log, each exactly once, and each user's events in order.
///
/// Each record carries a header with the import's id and the event's number. Before an append, the state file says
/// which numbers are in flight. After a crash, or an append whose outcome is unknown, the log is read back for those
/// numbers, and only the missing ones are sent. At its end every import reports what was left out, decoded or assumed
/// in all of its runs.
struct ImportFlow: Service {
    let name = "import"
    let configuration: ImportConfiguration
    let source: ImportSource
    let log: any MessageLog
    let partitionCount: Int32
    let logger: Logger

    func run(until shutdown: Shutdown) async throws {
        for earlier in configuration.earlierStatePaths(for: source.file) where RegularFile.exists(earlier) {
            throw ImportState.ofFirstVersion(earlier, nil)
        }
        // Two imports that resumed from one state would both send the same events next.
        guard let lock = try FileLock(file: source.file) else {
            throw ProcessFailure(
                "another import of \(source.file) is running: wait until it has ended, or stop it",
                exitCode: .unavailable
            )
        }
        let otherLock = try lockOfNamedState()
        defer { withExtendedLifetime((lock, otherLock)) {} }
        let path = configuration.statePath(for: source.file)
        let state = try ImportState.read(path) ?? ImportState(order: source.order.rawValue, format: source.format)
        var run = ImportRun(self, state, path, until: shutdown)
        do {
            // Every file reader of this task stops soon after the process is asked to.
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

    /// Whether an error only means that the process is to stop.
    private static func isStop(_ error: any Error) -> Bool {
        error is DatasetError || error is InputFileError || error as? SortError == .stopped
    }

    // MARK: - Everything left to send

    private func send(_ run: inout ImportRun) async throws {
        if run.state.doneCount + run.state.pendingCount == 0 { try await lookForEarlierImports(&run) }
        try check(run.state, run.path)
        try await checkLogHasWhatIsDone(&run)
        // A state of version 2 has no counts, so the totals start now.
        if run.state.totals == nil { run.state.totals = ImportState.Totals() }
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

    /// Sends the rest of the last part, and then what follows it in the file as another part.
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

    /// Reads a part, with a progress bar.
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
        let totals = run.state.totals ?? ImportState.Totals()
        var metadata: Logger.Metadata = [
            "import.events": "\(run.state.doneCount)", "import.sent": "\(sent)",
            "import.skipped": "\(counts[.badLines])", "import.late": "\(totals.lateCount)",
            "import.overtaken": "\(totals.overtakenCount)",
        ]
        for (counter, count) in counts.happened where counter != .badLines {
            metadata["import.\(counter.name)"] = "\(count)"
        }
        if !counts.unknownFields.isEmpty {
            metadata["import.unknown_fields"] = counts.unknownFields.joined(separator: ", ")
        }
        logger.info("imported all events", metadata: metadata)
    }
}

/// Limits the rate to a number of events per second.
struct Pace {
    private let rate: Double
    private let start = ContinuousClock.now
    private var sent = 0

    init(rate: Double) { self.rate = rate }

    /// Twenty batches a second, for an even flow of events.
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
