import Datasets
import Bytes
import Foundation
import Files
import JSON
import ServiceRuntime

/// The progress of an import, kept in a small file, so that a process that was killed resumes where it stopped.
///
/// It is written before each append: what is done is in the log, what is in flight may be there in part. A resumed
/// import reads the log back to see which of those events it has. Digests of the file's content show later whether it
/// is unchanged.
///
/// The state file may be old, damaged or edited, so everything in it is checked before it is used.
struct ImportState: Encodable, Equatable, Sendable {
    /// Events that were read and sorted together, before any of them was sent.
    struct Part: Encodable, Equatable, Sendable {
        /// The number of its first event.
        var firstEvent: Int
        /// How many events it has.
        var eventCount: Int
        /// Where in the file it begins.
        var start: ReadPosition
        /// Where it ends.
        var end: ReadPosition
        /// Whether its events were sorted; otherwise they are sent in file order.
        var isSorted: Bool
        /// How many of its events are older than some of the same user in earlier parts.
        var lateCount = 0

        /// One past the number of its last event.
        var endEvent: Int { firstEvent + eventCount }
    }

    /// What an import reports at its end, over all of its runs.
    struct Totals: Encodable, Equatable, Sendable {
        /// What was left out, decoded or assumed: up to `position`, or in all parts if events are sorted first.
        var counts = ReadingCounts()
        /// Events that were older than some of the same user in earlier parts.
        var lateCount = 0
        /// Events appended after later ones of the same user, because the log had accepted those and not these.
        var overtakenCount = 0
    }

    /// Distinguishes the records of this import from all others; never reused.
    let id: String
    /// The order in which events are sent.
    let order: String
    /// The file's format.
    let format: String
    /// Events that are certainly in the log.
    var doneCount = 0
    /// Events after the done ones, for which an append has begun.
    var pendingCount = 0
    /// Where in the file the last of the done events ended; nil if they are not in file order.
    var position: ReadPosition?
    /// The same for the last event in flight.
    var pendingPosition: ReadPosition?
    /// The part that is being sent, or was sent last, if events are sorted first.
    var part: Part?
    /// The latest time of an event in any part.
    var latestTime: Int64?
    /// Digests of the file's content; the last one covers everything that was sent or sorted.
    var checkpoints: [Checkpoint] = []
    /// The offset of one of the last done events, by which the log is recognized; nil if it was not looked up.
    var place: LogPlace?
    /// What is reported at the end; nil in a state of version 2.
    var totals: Totals?

    /// Begins a new import.
    init(order: String, format: String) {
        let id = UInt64.random(in: (1 << 60)...UInt64.max)
        self.init(id: String(id, radix: 16), order: order, format: format)
        totals = Totals()
    }

    init(id: String, order: String, format: String) {
        (self.id, self.order, self.format) = (id, order, format)
    }

    // MARK: - The file

    static let version = 3
    /// Versions that can be resumed; version 2 has neither a log position nor totals.
    static let readableVersions = 2...version
    private static let byteLimit = 1 << 20

    /// The state with a digest that shows whether it is complete and unchanged.
    private struct Sealed: Encodable {
        var version: Int
        var sha256: String
        var state: ImportState
    }

    /// Reads a state; nil if there is no file.
    ///
    /// - Throws: if the file has another version, was changed, or cannot be read.
    static func read(_ path: String) throws(ProcessFailure) -> ImportState? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let bytes: [UInt8]
        do throws(InputFileError) {
            bytes = try InputFile.contents(of: path, limit: byteLimit)
        } catch {
            throw failure(path, "cannot be read: \(error.reason)")
        }
        return try decoded(bytes, path)
    }

    /// Reads a state from the bytes of a file.
    static func decoded(_ bytes: [UInt8], _ path: String) throws(ProcessFailure) -> ImportState {
        let sealed: SealedImportState
        do throws(JSONError) {
            sealed = try SealedImportState(bytes)
        } catch {
            throw failure(path, "cannot be read: \(error)")
        }
        if sealed.isOfFirstVersion { throw ofFirstVersion(path, sealed.earlierCount) }
        guard let state = sealed.state else {
            let version = sealed.version.map { "version \($0)" } ?? "no version"
            throw failure(path, "has \(version), and this program knows versions 2 and \(Self.version) only")
        }
        try state.check(path)
        guard try sealed.sha256 == SHA256.hexDigest(of: state.encoded(path)) else {
            throw failure(path, "is not as it was written: sha256 is that of another state, so some field was changed")
        }
        return state
    }

    /// The bytes of the file.
    func sealed(_ path: String) throws(ProcessFailure) -> [UInt8] {
        let digest = SHA256.hexDigest(of: try encoded(path))
        return try Self.json(Sealed(version: Self.version, sha256: digest, state: self), path)
    }

    private func encoded(_ path: String) throws(ProcessFailure) -> [UInt8] { try Self.json(self, path) }

    private static func json(_ value: some Encodable, _ path: String) throws(ProcessFailure) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw failure(path, "cannot be written: \(FailureText.reason(error))")
        }
    }

    /// Writes the state atomically and flushes it to disk.
    func write(to path: String) throws(ProcessFailure) {
        let bytes = try sealed(path)
        do throws(StateFile.Failure) {
            try StateFile.write(bytes, to: path)
        } catch {
            throw ProcessFailure(
                "the state of the import cannot be written: name a place for it with --state (\(error))",
                exitCode: .configuration
            )
        }
    }

    // MARK: - Validation

    private static let numbers = 0...1 << 50

    /// Refuses what no import can have written; afterwards every number that is used later is in range.
    private func check(_ path: String) throws(ProcessFailure) {
        try Self.check(path, "doneCount", doneCount, Self.numbers)
        try Self.check(path, "pendingCount", pendingCount, 0...ImportConfiguration.largestBatch)
        try Self.check(path, "position", position)
        try Self.check(path, "pendingPosition", pendingPosition)
        try Self.check(path, "checkpoints", checkpoints.count, 0...64)
        var before: UInt64 = 0
        for checkpoint in checkpoints {
            try Self.check(path, "checkpoints.byteOffset", checkpoint.byteOffset, before...Self.byteOffsets.upperBound)
            before = checkpoint.byteOffset
        }
        for place in [position, pendingPosition, part?.end].compactMap(\.self) {
            try Self.check(path, "byteOffset (checkpoints end before it)", place.byteOffset, 0...before)
        }
        guard doneCount + pendingCount == 0 || !checkpoints.isEmpty else {
            throw Self.failure(path, "says doneCount \(doneCount), but has no checkpoints")
        }
        try checkTotals(path)
        if let place {
            try Self.check(path, "place.partition", place.partition, 0...Int32.max)
            try Self.check(path, "place.offset", place.offset, 0...1 << 60)
            try Self.check(path, "place.number", place.number, 0...max(doneCount - 1, 0))
        }
        guard let part else {
            guard doneCount == 0 || position != nil else {
                throw Self.failure(path, "says doneCount \(doneCount), but has no position")
            }
            return
        }
        guard part.isSorted || position != nil else {
            throw Self.failure(path, "says part.isSorted false, but has no position")
        }
        try Self.check(path, "part.firstEvent", part.firstEvent, 0...doneCount)
        try Self.check(path, "part.eventCount", part.eventCount, Self.numbers)
        try Self.check(path, "part.lateCount", part.lateCount, 0...part.eventCount)
        try Self.check(path, "part.start", part.start)
        try Self.check(path, "part.end", part.end)
        try Self.check(path, "doneCount and pendingCount", doneCount + pendingCount, part.firstEvent...part.endEvent)
    }

    private func checkTotals(_ path: String) throws(ProcessFailure) {
        guard let totals else { return }
        try Self.check(path, "totals.lateCount", totals.lateCount, Self.numbers)
        try Self.check(path, "totals.overtakenCount", totals.overtakenCount, Self.numbers)
        for counter in ReadingCounts.Counter.allCases {
            try Self.check(path, "totals.counts.\(counter.name)", totals.counts[counter], Self.numbers)
        }
    }

    private static let byteOffsets: ClosedRange<UInt64> = 0...1 << 60

    private static func check(_ path: String, _ field: String, _ position: ReadPosition?) throws(ProcessFailure) {
        guard let position else { return }
        try check(path, "\(field).byteOffset", position.byteOffset, byteOffsets)
        try check(path, "\(field).line", position.line, numbers)
        try check(path, "\(field).events", position.events, numbers)
        try check(path, "\(field).eventsOfLine", position.eventsOfLine, numbers)
    }

    private static func check<Value: Comparable>(
        _ path: String,
        _ field: String,
        _ value: Value,
        _ range: ClosedRange<Value>
    ) throws(ProcessFailure) {
        guard !range.contains(value) else { return }
        throw failure(path, "says \(field) \(value), which is not in \(range.lowerBound)...\(range.upperBound)")
    }

    // MARK: - Errors

    private static func failure(_ path: String, _ reason: String) -> ProcessFailure {
        ProcessFailure(
            "the state of the import in \(path) \(reason); delete it only if all events are to be sent again, as those "
                + "that were sent before are in the log twice then",
            exitCode: .badInput
        )
    }

    /// The first version kept no digests of the file's content, so it cannot be resumed.
    static func ofFirstVersion(_ path: String, _ count: Int?) -> ProcessFailure {
        let sent = count.map { "\(max($0, 0)) events were sent" } ?? "events were sent"
        return ProcessFailure(
            "\(path) is the state of an import by an earlier version, according to which \(sent): an import that is not "
                + "finished is finished by that version; delete the file if all events are to be sent again, or move it away "
                + "and import only what is new, as a file of its own",
            exitCode: .badInput
        )
    }
}
