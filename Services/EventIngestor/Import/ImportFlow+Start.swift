import Concurrency
import Files
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// What an import verifies before it sends anything: that it resumes from the right state, in the log that the state
/// describes, and that the same events were not sent before.
extension ImportFlow {
    // MARK: - The state

    /// The lock of the file that an explicitly named state belongs to, because that file's import may resume from it
    /// too.
    func lockOfNamedState() throws(ProcessFailure) -> FileLock? {
        guard configuration.isStateNamed,
            let other = ImportConfiguration.file(ofState: configuration.statePath(for: source.file)),
            RegularFile.exists(other), !RegularFile.isSame(other, source.file)
        else { return nil }
        guard let lock = try FileLock(file: other) else {
            throw ProcessFailure(
                "an import of \(other) is running, which may go on from the same state: wait until it has ended, or stop it",
                exitCode: .unavailable
            )
        }
        return lock
    }

    /// Checks that the state belongs to an import with the present settings.
    func check(_ state: ImportState, _ path: String) throws(ProcessFailure) {
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

    // MARK: - The same events under another name

    /// Looks for imports of the same content into the same log, before anything is sent.
    ///
    /// The file may have another name, as a link, a copy or compressed, and the log may have another address.
    ///
    /// States are searched next to the file, next to its link target, and next to a named state. For the same file the
    /// import resumes from the state found; content that was sent from another file is not sent again unless that is
    /// requested.
    func lookForEarlierImports(_ run: inout ImportRun) async throws {
        guard !configuration.sendsAgain else { return }
        let files = [source.file, RegularFile.realPath(source.file), run.path]
        var folders: [String] = []
        for folder in files.map(ImportConfiguration.folder) {
            if !folders.contains(where: { RegularFile.isSame($0, folder) }) { folders.append(folder) }
        }
        let earlier = EarlierImport.inFolders(folders, except: run.path) { path, failure in
            logger.warning(
                "the state of an import cannot be read, so nobody can tell whether it has sent these events",
                metadata: ["import.state": path, "error": "\(failure)"]
            )
        }
        guard !earlier.isEmpty else { return }
        var found: [(one: EarlierImport, overlap: EarlierImport.Overlap)] = []
        for (one, overlap) in zip(earlier, try await run.reader.overlaps(with: earlier)) {
            guard let overlap, try await isInThisLog(one, until: run.shutdown) else { continue }
            found.append((one, overlap))
        }
        // If there are several, take the one that has come furthest.
        found.sort { $0.one.state.doneCount > $1.one.state.doneCount }
        if !configuration.isStateNamed,
            let own = found.first(where: { RegularFile.isSame($0.one.file, source.file) && $0.overlap.isWhole })
        {
            (run.state, run.path) = (own.one.state, own.one.statePath)
            return logger.notice(
                "going on from the state of an import into the same log by another name of the file or of the log",
                metadata: ["import.state": run.path, "import.done": "\(run.state.doneCount)"]
            )
        }
        if let first = found.first { throw sentBefore(first.one, first.overlap) }
    }

    /// Whether an import sent its events to this log, whatever address it used.
    private func isInThisLog(_ one: EarlierImport, until shutdown: Shutdown) async throws -> Bool {
        let trace = trace(of: one.state)
        guard let place = one.state.place else {
            return try await asking(until: shutdown) { () async throws(StreamError) in try await trace.place() } != nil
        }
        let finding = try await asking(until: shutdown) { () async throws(StreamError) in
            try await trace.look(at: place)
        }
        switch finding {
        case .record: return true
        // It can no longer be verified; if the address is the same, it is practically certain.
        case .deleted: return configuration.isOfSameAddress(state: one.statePath)
        case .other: return false
        }
    }

    private func sentBefore(_ one: EarlierImport, _ overlap: EarlierImport.Overlap) -> ProcessFailure {
        let count = one.state.doneCount + one.state.pendingCount
        let way =
            overlap.isWhole
            ? "--state \(one.statePath) sends only what comes after them" : "import a file of only what is new"
        return ProcessFailure(
            "the first \(overlap.byteCount) bytes of what \(source.file) holds are those of \(one.file), of which \(count) "
                + "events were sent to this log, as \(one.statePath) says; nothing was sent now: \(way); --send-again sends all "
                + "events, and those are in the log twice then",
            exitCode: .badInput
        )
    }

    // MARK: - The log

    /// Checks that the log contains what the state counts as done.
    ///
    /// A log that was recreated at the same address does not, and neither does one that was restored from an older
    /// backup.
    ///
    /// An event of the import must be at the recorded offset. A copy of the log has it elsewhere, so there it is
    /// searched for.
    func checkLogHasWhatIsDone(_ run: inout ImportRun) async throws {
        let state = run.state
        guard state.doneCount > 0 else { return }
        let trace = trace(of: state)
        let (low, high) = try await sizeOfLog(until: run.shutdown)
        guard high >= Int64(state.doneCount) else {
            throw anotherLog(run, "the log has had only \(high) records")
        }
        var reason = "the log has not event \(state.doneCount - 1) of them"
        if let place = state.place {
            let finding = try await asking(until: run.shutdown) { () async throws(StreamError) in
                try await trace.look(at: place)
            }
            switch finding {
            case .record: return
            case .deleted: return tellThatNobodyCanTell(run.path)
            case .other(let what):
                reason =
                    "event \(place.number) was in \(Topic.userEvents.rawValue)/\(place.partition) at offset \(place.offset), and "
                    + what
            }
        }
        let number = state.place?.number ?? state.doneCount - 1
        let found = try await asking(until: run.shutdown) { () async throws(StreamError) in
            try await trace.place(of: number)
        }
        if let found {
            run.state.place = found
        } else if state.place == nil, low > 0 {
            tellThatNobodyCanTell(run.path)
        } else {
            throw anotherLog(run, reason)
        }
    }

    private func tellThatNobodyCanTell(_ path: String) {
        logger.notice(
            "the log has deleted what was sent to it last, so nobody can tell that it is the same log",
            metadata: ["import.state": path]
        )
    }

    private func anotherLog(_ run: ImportRun, _ found: String) -> ProcessFailure {
        ProcessFailure(
            "\(run.path) says that \(run.state.doneCount) events of \(source.file) are in the log, but \(found): it is another "
                + "log, was made anew, or was put back to an earlier state; delete that file to send all events to this log, or "
                + "name another with --state",
            exitCode: .badInput
        )
    }

    private func trace(of state: ImportState) -> ImportTrace {
        ImportTrace(log: log, partitionCount: partitionCount, id: state.id)
    }

    /// How many records the topic has deleted, and how many it has ever had.
    private func sizeOfLog(until shutdown: Shutdown) async throws -> (low: Int64, high: Int64) {
        try await asking(until: shutdown) { () async throws(StreamError) in
            var (low, high): (Int64, Int64) = (0, 0)
            for partition in 0..<partitionCount {
                let marks = try await log.watermarks(of: TopicPartition(Topic.userEvents.rawValue, partition))
                (low, high) = (Self.sum(low, marks.low), Self.sum(high, marks.high))
            }
            return (low, high)
        }
    }

    private static func sum(_ one: Int64, _ other: Int64) -> Int64 {
        let (sum, isOver) = one.addingReportingOverflow(max(0, other))
        return isOver ? .max : sum
    }

    /// Queries the log, and retries while it is unavailable, such as during a leader change.
    private func asking<Value: Sendable>(
        until shutdown: Shutdown,
        _ question: () async throws(StreamError) -> Value
    ) async throws -> Value {
        var backoff = Backoff()
        while true {
            do throws(StreamError) {
                return try await question()
            } catch {
                guard case .unavailable = error, !shutdown.isRequested else { throw error }
                logger.warning("the log did not answer, asking again", metadata: ["error": "\(error)"])
            }
            try await shutdown.wait(atMost: backoff.next())
        }
    }
}
