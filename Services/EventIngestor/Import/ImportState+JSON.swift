import Datasets
import JSON

/// The contents of a state file, before any of it is trusted.
struct SealedImportState {
    /// The file's version; nil in the first.
    var version: Int?
    /// The digest of the state as it was written.
    var sha256: String?
    /// The state; nil in a file of another version.
    var state: ImportState?
    /// Only in the first version: how many events were sent.
    var earlierCount: Int?
    /// Whether the file is of the first version.
    var isOfFirstVersion = false

    private enum Field: Int { case version, sha256, state, fingerprint, doneCount }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "the state of an import",
        [["version"], ["sha256"], ["state"], ["fingerprint"], ["doneCount"]]
    )

    /// Reads the bytes of a file.
    init(_ bytes: [UInt8]) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        var file = (version: nil as Int?, sha256: nil as String?, earlierCount: nil as Int?, isFirst: false)
        var stateScanner: JSONScanner?
        // The first version has fields that are no longer used, and a newer one may have others.
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .version: file.version = try scanner.integer()
            case .sha256: file.sha256 = try scanner.string()
            case .state:
                stateScanner = scanner
                try scanner.skipValue()
            case .fingerprint:
                file.isFirst = true
                try scanner.skipValue()
            case .doneCount: file.earlierCount = try scanner.integer()
            case nil: break
            }
        }
        try scanner.finish()
        (version, sha256, earlierCount) = (file.version, file.sha256, file.earlierCount)
        isOfFirstVersion = file.isFirst && file.version == nil
        guard let version, ImportState.readableVersions.contains(version) else { return }
        guard var stateScanner else { throw JSONError(field: "state", reason: "is missing") }
        do throws(JSONError) {
            state = try ImportState(&stateScanner)
        } catch {
            throw error.inField("state")
        }
    }
}

extension ImportState {
    private enum Field: Int {
        case id, order, format, doneCount, pendingCount, position, pendingPosition, part, latestTime, checkpoints, place
        case totals
    }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "the state of an import",
        [
            ["id"], ["order"], ["format"], ["doneCount"], ["pendingCount"], ["position"], ["pendingPosition"], ["part"],
            ["latestTime"], ["checkpoints"], ["place"], ["totals"],
        ]
    )

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (id, order, format): (String?, String?, String?)
        var (doneCount, pendingCount): (Int?, Int?)
        var (position, pendingPosition): (ReadPosition?, ReadPosition?)
        var (part, latestTime, checkpoints): (Part?, Int64?, [Checkpoint]?)
        var (place, totals): (LogPlace?, Totals?)
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .id: id = try scanner.string()
            case .order: order = try scanner.string()
            case .format: format = try scanner.string()
            case .doneCount: doneCount = try scanner.integer()
            case .pendingCount: pendingCount = try scanner.integer()
            case .position: position = try ReadPosition(&scanner)
            case .pendingPosition: pendingPosition = try ReadPosition(&scanner)
            case .part: part = try Part(&scanner)
            case .latestTime: latestTime = try scanner.integer()
            case .checkpoints:
                checkpoints = try scanner.readArray { scanner throws(JSONError) in try Checkpoint(&scanner) }
            case .place: place = try LogPlace(&scanner)
            case .totals: totals = try Totals(&scanner)
            case nil: break
            }
        }
        self.init(
            id: try required(id, "id"),
            order: try required(order, "order"),
            format: try required(format, "format")
        )
        self.doneCount = try required(doneCount, "doneCount")
        self.pendingCount = try required(pendingCount, "pendingCount")
        (self.position, self.pendingPosition) = (position, pendingPosition)
        (self.part, self.latestTime) = (part, latestTime)
        self.checkpoints = try required(checkpoints, "checkpoints")
        (self.place, self.totals) = (place, totals)
    }
}

extension ImportState.Totals {
    private enum Field: Int { case counts, lateCount, overtakenCount }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "totals", [["counts"], ["lateCount"], ["overtakenCount"]])

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (counts, lateCount, overtakenCount): (ReadingCounts?, Int?, Int?)
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .counts: counts = try ReadingCounts(&scanner)
            case .lateCount: lateCount = try scanner.integer()
            case .overtakenCount: overtakenCount = try scanner.integer()
            case nil: break
            }
        }
        self.init(
            counts: try required(counts, "counts"),
            lateCount: try required(lateCount, "lateCount"),
            overtakenCount: try required(overtakenCount, "overtakenCount")
        )
    }
}

extension ReadingCounts {
    /// In the order of the counters, which are numbered from 0; after them the names of fields.
    private static let fields = FieldNames(of: "counts", Counter.allCases.map { [$0.name] } + [["unknown_fields"]])

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (counts, names) = (ReadingCounts(), [String]())
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            if let counter = Counter(rawValue: field) {
                counts[counter] = try scanner.integer()
            } else {
                names = try scanner.readArray { scanner throws(JSONError) in try scanner.string() }
            }
        }
        counts.add(unknownFields: names)
        self = counts
    }
}

extension LogPlace {
    private enum Field: Int { case partition, offset, number }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "a place in the log", [["partition"], ["offset"], ["number"]])

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (partition, offset, number): (Int32?, Int64?, Int?)
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .partition: partition = try scanner.integer()
            case .offset: offset = try scanner.integer()
            case .number: number = try scanner.integer()
            case nil: break
            }
        }
        self.init(
            partition: try required(partition, "partition"),
            offset: try required(offset, "offset"),
            number: try required(number, "number")
        )
    }
}

extension ImportState.Part {
    private enum Field: Int { case firstEvent, eventCount, start, end, isSorted, lateCount }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "a part",
        [["firstEvent"], ["eventCount"], ["start"], ["end"], ["isSorted"], ["lateCount"]]
    )

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (firstEvent, eventCount, lateCount): (Int?, Int?, Int?)
        var (start, end, isSorted): (ReadPosition?, ReadPosition?, Bool?)
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .firstEvent: firstEvent = try scanner.integer()
            case .eventCount: eventCount = try scanner.integer()
            case .start: start = try ReadPosition(&scanner)
            case .end: end = try ReadPosition(&scanner)
            case .isSorted: isSorted = try scanner.bool()
            case .lateCount: lateCount = try scanner.integer()
            case nil: break
            }
        }
        self.init(
            firstEvent: try required(firstEvent, "firstEvent"),
            eventCount: try required(eventCount, "eventCount"),
            start: try required(start, "start"),
            end: try required(end, "end"),
            isSorted: try required(isSorted, "isSorted"),
            lateCount: try required(lateCount, "lateCount")
        )
    }
}

extension Checkpoint {
    private enum Field: Int { case byteOffset, sha256 }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "a checkpoint", [["byteOffset"], ["sha256"]])

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (byteOffset, sha256): (UInt64?, String?)
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .byteOffset: byteOffset = try scanner.integer()
            case .sha256: sha256 = try scanner.string()
            case nil: break
            }
        }
        self.init(byteOffset: try required(byteOffset, "byteOffset"), sha256: try required(sha256, "sha256"))
    }
}

extension ReadPosition {
    private enum Field: Int { case line, byteOffset, eventsOfLine, events }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "a position",
        [["line"], ["byteOffset"], ["eventsOfLine"], ["events"]]
    )

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (line, byteOffset, eventsOfLine, events): (Int?, UInt64?, Int?, Int?)
        var unknown = UnknownFields(.refused)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .line: line = try scanner.integer()
            case .byteOffset: byteOffset = try scanner.integer()
            case .eventsOfLine: eventsOfLine = try scanner.integer()
            case .events: events = try scanner.integer()
            case nil: break
            }
        }
        self.init(
            line: try required(line, "line"),
            byteOffset: try required(byteOffset, "byteOffset"),
            eventsOfLine: try required(eventsOfLine, "eventsOfLine"),
            events: try required(events, "events")
        )
    }
}

private func required<Value>(_ value: Value?, _ field: String) throws(JSONError) -> Value {
    guard let value else { throw JSONError(field: field, reason: "is missing") }
    return value
}
