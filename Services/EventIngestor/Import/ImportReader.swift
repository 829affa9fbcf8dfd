import Datasets
import Concurrency
import Files
import Messages
import ServiceRuntime

/// Reads and sorts the file of an import, on a thread of its own: both may take long.
actor ImportReader {
    private enum Events {
        /// As they stand in the file; `count` more at most, `latest` is the time of the last one.
        case file(any EventReader, count: Int, latest: Int64?, end: ReadPosition?)
        case sorted(SortedRecords)
    }

    private let executor = BlockingExecutor(label: "import")
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    private let source: ImportSource
    private var events: Events?
    private var proof: ContentProof?
    private var record: [UInt8] = []

    /// What was left out, decoded or assumed, by all runs; only here, what follows the last event is in it too.
    private(set) var counts = ReadingCounts()
    /// The same, of what was sent or put in order before this run.
    private var countsBefore = ReadingCounts()
    /// How many runs were sorted on the disk.
    private(set) var runCount = 0

    init(_ source: ImportSource) { self.source = source }

    // MARK: - What was sent before

    /// How much the file has in common with what each of some earlier imports had read; nil where it begins otherwise.
    func overlaps(with imports: [EarlierImport]) throws -> [EarlierImport.Overlap?] {
        try EarlierImport.overlaps(of: source.file, with: imports)
    }

    /// Checks that the file still holds what it held when events of it were sent.
    ///
    /// - Parameters:
    ///   - state: says what that was.
    ///   - path: where it is kept, for errors.
    /// - Returns: the state; its positions are moved behind the end of a last line that had none then.
    /// - Throws: `ProcessFailure` saying where the file was changed, as far as that can be told.
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
            // What reading goes on from would find an empty line there, and count one line too many.
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

    // MARK: - Events in the file's order

    /// Goes on in the file's order, to its end.
    func open(from position: ReadPosition) throws {
        events = .file(try source.events(from: position), count: .max, latest: nil, end: nil)
    }

    // MARK: - Events in another order

    /// Reads what the file holds from a place on and puts it in order; nil when there is no event.
    ///
    /// - Parameters:
    ///   - start: where to begin; everything before was sent.
    ///   - state: what was sent before.
    ///   - progress: told how much of the file on disk has been read.
    /// - Returns: the state with the part, and with what the file holds up to its end.
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
        // Behind a part that was gone on with there may be nothing more.
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

    /// Goes on in a part that is sent already as far as the state says.
    func resume(_ part: ImportState.Part, _ state: ImportState, _ progress: @Sendable (Int) -> Void) throws {
        var sorted: SortedRecords?
        if part.isSorted {
            var arrangement = ImportArrangement(source, first: part.start)
            // What was left out of it is counted already.
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
            // Counted when the part was read for the first time.
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

    /// Reads up to where an event ended; the whole line, where only some of its events were taken.
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
    /// Whether this place stands before another, or is the same.
    func isNotAfter(_ other: ReadPosition) -> Bool {
        (byteOffset, eventsOfLine) <= (other.byteOffset, other.eventsOfLine)
    }
}
