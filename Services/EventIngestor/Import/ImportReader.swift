import Datasets
import Concurrency
import Files
import Messages
import ServiceRuntime

/// Reads and sorts the file of an import, on its own thread, because both may take long.
actor ImportReader {
    private enum Events {
        /// In file order; `count` more at most, `latest` is the time of the last one.
        case file(any EventReader, count: Int, latest: Int64?, end: ReadPosition?)
        case sorted(SortedRecords)
    }

    private let executor = BlockingExecutor(label: "import")
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    private let source: ImportSource
    private var events: Events?
    private var proof: ContentProof?
    private var record: [UInt8] = []

    /// What was left out, decoded or assumed, by all runs; only here does it include what follows the last event.
    private(set) var counts = ReadingCounts()
    /// The same for everything that was sent or sorted before this run.
    private var countsBefore = ReadingCounts()
    /// How many sorted runs were written to disk.
    private(set) var runCount = 0

    init(_ source: ImportSource) { self.source = source }

    // MARK: - What was already sent

    /// How much the file has in common with what each earlier import had read; nil if it begins differently.
    func overlaps(with imports: [EarlierImport]) throws -> [EarlierImport.Overlap?] {
        try EarlierImport.overlaps(of: source.file, with: imports)
    }

    /// Checks that the file still holds the content it had when events of it were sent.
    ///
    /// - Parameters:
    ///   - state: the digests of that content.
    ///   - path: the path of the state, for errors.
    /// - Returns: the state; its positions are moved past the end of a last line that had no line end then.
    /// - Throws: `ProcessFailure` saying where the file was changed, as far as that can be determined.
    func prove(_ state: ImportState, path: String) throws -> ImportState {
        var state = state
        var proof = try ContentProof(source.file)
        var (line, before) = (0, UInt64(0))
        for checkpoint in state.checkpoints {
            guard try proof.advance(to: checkpoint.byteOffset) else {
                throw ProcessFailure(
                    "\(source.file) ends after \(proof.byteOffset) bytes, but \(checkpoint.byteOffset) bytes of it "
                        + "were read when \(state.doneCount) events were sent: it was cut off, or is another file. "
                        + Self.advice(path),
                    exitCode: .badInput
                )
            }
            guard proof.checkpoint == checkpoint else {
                throw ProcessFailure(
                    "\(source.file) was changed after \(state.doneCount) of its events were sent: between bytes \(before) "
                        + "and \(checkpoint.byteOffset), which are lines \(line + 1) to \(max(line + 1, proof.lines)), "
                        + "it is not what it was. " + Self.advice(path),
                    exitCode: .badInput
                )
            }
            (line, before) = (proof.lines, checkpoint.byteOffset)
        }
        try passLineEnd(&proof, &state, path)
        self.proof = proof
        countsBefore = state.totals?.counts ?? ReadingCounts()
        counts = countsBefore
        return state
    }

    private func passLineEnd(_ proof: inout ContentProof, _ state: inout ImportState, _ path: String) throws {
        switch try proof.continuation() {
        case .none: return
        case .text:
            throw ProcessFailure(
                "\(source.file) was changed after \(state.doneCount) of its events were sent: its last line, line "
                    + "\(proof.lines + 1), had no end then and goes on now. " + Self.advice(path),
                exitCode: .badInput
            )
        case .lineEnd(let count):
            let place = proof.byteOffset
            guard try proof.advance(to: place + UInt64(count)) else { return }
            state.checkpoints.keep(proof.checkpoint)
            // Resuming there would see an empty line, and count one line too many.
            for field in [\ImportState.position, \.pendingPosition] where state[keyPath: field]?.byteOffset == place {
                state[keyPath: field]?.byteOffset += UInt64(count)
            }
            if state.part?.end.byteOffset == place { state.part?.end.byteOffset += UInt64(count) }
        }
    }

    private static func advice(_ path: String) -> String {
        "What was sent cannot be taken back: give the file its old content and add new events at its end, or import a file "
            + "of only those. Deleting \(path) sends all events again, and those that were sent before are in the log "
            + "twice then"
    }

    // MARK: - Events in file order

    /// Continues in file order, to the end of the file.
    func open(from position: ReadPosition) throws {
        events = .file(try source.events(from: position), count: .max, latest: nil, end: nil)
    }

    // MARK: - Events in another order

    /// Reads the file from a position and sorts what it holds; nil if there is no event.
    ///
    /// - Parameters:
    ///   - start: where to begin; everything before it was sent.
    ///   - state: what was already sent.
    ///   - progress: called with how much of the file on disk has been read.
    /// - Returns: the state with the part, and with the file's digests up to its end.
    /// - Throws: `DatasetError` for a bad line, `SortError` when the disk fails.
    func begin(
        from start: ReadPosition,
        _ state: ImportState,
        _ progress: @Sendable (Int) -> Void
    ) throws -> ImportState? {
        var state = state
        var arrangement = ImportArrangement(source, first: start)
        let (part, latest) = try arrangement.read(
            firstEvent: state.doneCount,
            latestBefore: state.latestTime,
            proof: &proof,
            progress
        )
        // After a part that was resumed, nothing more may follow.
        counts += arrangement.counts
        runCount = arrangement.runCount
        guard let part, let proof else { return nil }
        state.part = part
        state.totals?.counts = counts
        state.totals?.lateCount += part.lateCount
        state.position = part.isSorted ? nil : part.start
        state.latestTime = max(latest, state.latestTime ?? latest)
        for checkpoint in arrangement.checkpoints { state.checkpoints.keep(checkpoint) }
        state.checkpoints.keep(proof.checkpoint)
        try use(part, arrangement.sorted, from: part.start, skipping: 0)
        return state
    }

    /// Resumes a part that is already sent as far as the state says.
    func resume(_ part: ImportState.Part, _ state: ImportState, _ progress: @Sendable (Int) -> Void) throws {
        var sorted: SortedRecords?
        if part.isSorted {
            var arrangement = ImportArrangement(source, first: part.start)
            // What was left out of it is already counted.
            try arrangement.read(again: part, progress)
            sorted = arrangement.sorted
        }
        try use(part, sorted, from: state.position ?? part.start, skipping: state.doneCount - part.firstEvent)
    }

    private func use(
        _ part: ImportState.Part,
        _ sorted: consuming SortedRecords?,
        from position: ReadPosition,
        skipping count: Int
    ) throws {
        guard var sorted else {
            events = .file(
                try source.events(from: position),
                count: part.eventCount - count,
                latest: .min,
                end: part.end
            )
            return
        }
        for _ in 0..<count { _ = try sorted.next(into: &record) }
        events = .sorted(sorted)
    }

    // MARK: - Batches

    /// The next events, at most `count`; none at the end.
    func take(_ count: Int) throws -> ImportBatch {
        switch events {
        case .file(let reader, let rest, let latest, let end):
            events = nil
            return try take(min(count, rest), reader, rest, latest, end)
        case .sorted(var records):
            events = nil
            defer { events = .sorted(records) }
            var batch = ImportBatch()
            while batch.events.count < count, try records.next(into: &record) != nil {
                batch.events.append(ImportEvent.unpacked(record).event)
            }
            return batch
        case nil: return ImportBatch()
        }
    }

    private func take(
        _ count: Int,
        _ reader: consuming any EventReader,
        _ rest: Int,
        _ latest: Int64?,
        _ end: ReadPosition?
    ) throws -> ImportBatch {
        var (reader, latest) = (reader, latest)
        var batch = ImportBatch()
        while batch.events.count < count, let event: Event = try reader.next() {
            if let last = latest {
                guard event.time >= last else { throw changedMeanwhile() }
                latest = event.time
            }
            batch.events.append(try ImportEvent(event))
        }
        batch.position = reader.position
        batch.bytesRead = reader.bytesRead
        if let end {
            // It was counted when the part was read for the first time.
            guard batch.events.count == count, reader.position.isNotAfter(end) else { throw changedMeanwhile() }
        } else {
            counts = countsBefore
            counts += reader.counts
            batch.counts = counts
            batch.checkpoint = try proven(reader.position)
        }
        events = .file(reader, count: rest - batch.events.count, latest: latest, end: end)
        return batch
    }

    /// Reads up to the end of an event; the whole line, if only some of its events were taken.
    private func proven(_ position: ReadPosition) throws -> Checkpoint? {
        guard var proof else { return nil }
        self.proof = nil
        guard try proof.advance(to: position) else { throw changedMeanwhile() }
        self.proof = proof
        return proof.checkpoint
    }

    private func changedMeanwhile() -> ProcessFailure {
        ProcessFailure(
            "\(source.file) was changed while it was imported: some events that were sent are from before that, and some "
                + "may be from after it",
            exitCode: .badInput
        )
    }
}

extension ReadPosition {
    /// Whether this position is before another, or equal to it.
    func isNotAfter(_ other: ReadPosition) -> Bool {
        (byteOffset, eventsOfLine) <= (other.byteOffset, other.eventsOfLine)
    }
}
