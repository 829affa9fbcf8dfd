import Datasets
import Bytes
import Files
import Messages
import ServiceRuntime

/// Reads part of a file to its end before any event of it is sent, and puts the events in order.
///
/// Bad lines are found here. A part that is already in time order, as logs are, is not sorted: it is read a second time
/// while it is sent.
struct ImportArrangement {
    /// The events in order, if they had to be sorted.
    private(set) var sorted: SortedRecords?
    /// What was left out, decoded or assumed.
    private(set) var counts = ReadingCounts()
    /// Digests of the file's content, on the way to the end of the part.
    private(set) var checkpoints: [Checkpoint] = []
    /// How many sorted runs were written to disk.
    private(set) var runCount = 0

    private let source: ImportSource
    private let first: ReadPosition
    private var sorter: ExternalSorter?
    /// Whether some event is older than the one before it.
    private var isOutOfOrder = false
    private var (count, earliest, latest) = (0, Int64.max, Int64.min)
    private var end: ReadPosition

    init(_ source: ImportSource, first: ReadPosition) {
        self.source = source
        self.first = first
        end = first
    }

    /// Reads to the end of the file.
    ///
    /// - Returns: the part, nil if there is no event; and the latest time in it.
    mutating func read(
        firstEvent: Int,
        latestBefore: Int64?,
        proof: inout ContentProof?,
        _ progress: @Sendable (Int) -> Void
    ) throws -> (ImportState.Part?, latest: Int64) {
        isOutOfOrder = source.order == .interleaved
        let isWhole = try pass(atMost: .max, keepsAll: isOutOfOrder, proof: &proof, progress)
        if !isWhole {
            // The earlier events were in order and were not kept; this one is out of order.
            var none: ContentProof?
            _ = try pass(atMost: .max, keepsAll: true, proof: &none, progress)
            try prove(end, &proof)
        }
        guard count > 0 else { return (nil, latest) }
        var part = ImportState.Part(
            firstEvent: firstEvent,
            eventCount: count,
            start: first,
            end: end,
            isSorted: isOutOfOrder
        )
        if isOutOfOrder { try sort() }
        sorter = nil
        if let latestBefore, earliest < latestBefore {
            part.lateCount = try LateEvents(source).count(upTo: first, until: part, progress)
        }
        return (part, latest)
    }

    /// Reads again a part that was in order the first time; proves that the file's content up to its end is unchanged.
    mutating func read(again part: ImportState.Part, _ progress: @Sendable (Int) -> Void) throws {
        var none: ContentProof?
        isOutOfOrder = true
        _ = try pass(atMost: part.eventCount, keepsAll: true, proof: &none, progress)
        guard count == part.eventCount, end.isNotAfter(part.end) else {
            throw ProcessFailure(
                "\(source.file) had \(part.eventCount) events up to byte \(part.end.byteOffset) when \(part.firstEvent) "
                    + "were sent, and has \(count) up to byte \(end.byteOffset) now, though the file is the same: was "
                    + "--skip-bad-lines left out, or is this another version of the program?",
                exitCode: .badInput
            )
        }
        try sort()
    }

    // MARK: - Reading

    /// Reads events from the first one; false if one is out of order and the ones before it were not kept.
    private mutating func pass(
        atMost limit: Int,
        keepsAll: Bool,
        proof: inout ContentProof?,
        _ progress: @Sendable (Int) -> Void
    ) throws -> Bool {
        var reader = try source.events(from: first)
        sorter = source.sorter(share: source.order == .interleaved ? 2 : 1)
        (count, earliest, latest) = (0, .max, .min)
        while count < limit, let event: Event = try reader.next() {
            if event.time < latest, !isOutOfOrder {
                isOutOfOrder = true
                if sorter == nil { return false }
            }
            earliest = min(earliest, event.time)
            latest = max(latest, event.time)
            try keep(event, keepsAll)
            count += 1
            if count & 0xFFFF == 0 {
                progress(reader.bytesRead)
                try prove(reader.position, &proof)
            }
        }
        end = reader.position
        counts = reader.counts
        progress(reader.bytesRead)
        try prove(end, &proof)
        return true
    }

    private mutating func keep(_ event: Event, _ keepsAll: Bool) throws {
        guard sorter != nil else { return }
        let packed = try ImportEvent(event).packed(number: UInt64(count))
        // A part in order needs no runs on disk; this bets that it stays in order to its end.
        if !isOutOfOrder, !keepsAll, sorter?.fits(packed.count) == false {
            sorter = nil
            return
        }
        let time = UInt64(ordering: event.time)
        let user = source.order == .interleaved ? ImportEvent.number(of: Array(event.user.utf8)) : nil
        try sorter?.add(user.map { SortKey($0, time) } ?? SortKey(time), packed)
    }

    private mutating func prove(_ position: ReadPosition, _ proof: inout ContentProof?) throws {
        guard var one = proof else { return }
        proof = nil
        defer { proof = one }
        guard try one.advance(to: position) else {
            throw ProcessFailure("\(source.file) was cut off while it was read", exitCode: .badInput)
        }
        checkpoints.keep(one.checkpoint)
    }

    // MARK: - Sorting

    private mutating func sort() throws {
        guard var sorter else { return }
        self.sorter = nil
        runCount = sorter.runCount
        let records = try sorter.sorted()
        sorted = source.order == .interleaved ? try Self.interleaved(records, source.sorter(share: 2)) : records
    }

    /// All users in turn, in the order of their first events in the file.
    private static func interleaved(
        _ records: consuming SortedRecords,
        _ sorter: consuming ExternalSorter
    ) throws -> SortedRecords {
        var (records, sorter) = (records, sorter)
        var (record, user, rank, firstNumber): ([UInt8], UInt64?, UInt64, UInt64) = ([], nil, 0, 0)
        while let key = try records.next(into: &record) {
            if key.first == user {
                rank += 1
            } else {
                (user, rank, firstNumber) = (key.first, 0, ImportEvent.unpacked(record).number)
            }
            try sorter.add(SortKey(rank, firstNumber), record)
        }
        return try sorter.sorted()
    }
}

/// Counts events of a part that are older than earlier-sent events of the same user, in bounded memory.
struct LateEvents {
    private let source: ImportSource

    init(_ source: ImportSource) { self.source = source }

    func count(upTo start: ReadPosition, until part: ImportState.Part, _ progress: @Sendable (Int) -> Void) throws
        -> Int
    {
        // The part's own events may still be in memory.
        var sorter = source.sorter(share: 4)
        var reader = try source.events(from: .start)
        var number = 0
        while let event: Event = try reader.next() {
            // The position is after the event, so an event that ends where the part begins was already sent.
            let isLate = !reader.position.isNotAfter(start)
            guard reader.position.isNotAfter(part.end) else { break }
            // A user's events that were already sent sort first.
            let time = UInt64(clamping: event.time) & ~(1 << 63)
            try sorter.add(SortKey(ImportEvent.number(of: Array(event.user.utf8)), time | (isLate ? 1 << 63 : 0)), [])
            number += 1
            if number & 0xFFFF == 0 { progress(reader.bytesRead) }
        }
        var records = try sorter.sorted()
        var (record, user, latest, count): ([UInt8], UInt64?, UInt64, Int) = ([], nil, 0, 0)
        while let key = try records.next(into: &record) {
            if key.first != user { (user, latest) = (key.first, 0) }
            let time = key.second & ~(1 << 63)
            if key.second & (1 << 63) == 0 {
                latest = max(latest, time)
            } else if time < latest {
                count += 1
            }
        }
        return count
    }
}
