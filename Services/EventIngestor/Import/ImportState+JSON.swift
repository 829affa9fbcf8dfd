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

    private enum Field: String, ObjectField {
        static let object = "the state of an import"

        case version, sha256, state, fingerprint, doneCount
    }
    private static let fields = ObjectFields<Field>()

    /// Reads the bytes of a file.
    init(_ bytes: [UInt8]) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        var file = (version: nil as Int?, sha256: nil as String?, earlierCount: nil as Int?, isFirst: false)
        var stateScanner: JSONScanner?
        // The first version has fields that are no longer used, and a newer one may have others.
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .version: file.version = try scanner.integer()
            case .sha256: file.sha256 = try scanner.string()
            case .state:
                stateScanner = scanner
                try scanner.skipValue()
            case .fingerprint:
                file.isFirst = true
                try scanner.skipValue()
            case .doneCount: file.earlierCount = try scanner.integer()
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
    private enum Field: String, ObjectField {
        static let object = "the state of an import"

        case id, order, format, doneCount, pendingCount, position, pendingPosition, part, latestTime, checkpoints, place
        case totals
    }
    private static let fields = ObjectFields<Field>()

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (id, order, format): (String?, String?, String?)
        var (doneCount, pendingCount): (Int?, Int?)
        var (position, pendingPosition): (ReadPosition?, ReadPosition?)
        var (part, latestTime, checkpoints): (Part?, Int64?, [Checkpoint]?)
        var (place, totals): (LogPlace?, Totals?)
        try scanner.readObject(Self.fields, unknown: .refused) { field, scanner throws(JSONError) in
            switch field {
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
            }
        }
        self.init(
            id: try Field.id.required(id),
            order: try Field.order.required(order),
            format: try Field.format.required(format)
        )
        self.doneCount = try Field.doneCount.required(doneCount)
        self.pendingCount = try Field.pendingCount.required(pendingCount)
        (self.position, self.pendingPosition) = (position, pendingPosition)
        (self.part, self.latestTime) = (part, latestTime)
        self.checkpoints = try Field.checkpoints.required(checkpoints)
        (self.place, self.totals) = (place, totals)
    }
}

extension ImportState.Totals {
    private enum Field: String, ObjectField {
        static let object = "totals"

        case counts, lateCount, overtakenCount
    }
    private static let fields = ObjectFields<Field>()

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (counts, lateCount, overtakenCount): (ReadingCounts?, Int?, Int?)
        try scanner.readObject(Self.fields, unknown: .refused) { field, scanner throws(JSONError) in
            switch field {
            case .counts: counts = try ReadingCounts(&scanner)
            case .lateCount: lateCount = try scanner.integer()
            case .overtakenCount: overtakenCount = try scanner.integer()
            }
        }
        self.init(
            counts: try Field.counts.required(counts),
            lateCount: try Field.lateCount.required(lateCount),
            overtakenCount: try Field.overtakenCount.required(overtakenCount)
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
    private enum Field: String, ObjectField {
        static let object = "a place in the log"

        case partition, offset, number
    }
    private static let fields = ObjectFields<Field>()

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (partition, offset, number): (Int32?, Int64?, Int?)
        try scanner.readObject(Self.fields, unknown: .refused) { field, scanner throws(JSONError) in
            switch field {
            case .partition: partition = try scanner.integer()
            case .offset: offset = try scanner.integer()
            case .number: number = try scanner.integer()
            }
        }
        self.init(
            partition: try Field.partition.required(partition),
            offset: try Field.offset.required(offset),
            number: try Field.number.required(number)
        )
    }
}

extension ImportState.Part {
    private enum Field: String, ObjectField {
        static let object = "a part"

        case firstEvent, eventCount, start, end, isSorted, lateCount
    }
    private static let fields = ObjectFields<Field>()

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (firstEvent, eventCount, lateCount): (Int?, Int?, Int?)
        var (start, end, isSorted): (ReadPosition?, ReadPosition?, Bool?)
        try scanner.readObject(Self.fields, unknown: .refused) { field, scanner throws(JSONError) in
            switch field {
            case .firstEvent: firstEvent = try scanner.integer()
            case .eventCount: eventCount = try scanner.integer()
            case .start: start = try ReadPosition(&scanner)
            case .end: end = try ReadPosition(&scanner)
            case .isSorted: isSorted = try scanner.bool()
            case .lateCount: lateCount = try scanner.integer()
            }
        }
        self.init(
            firstEvent: try Field.firstEvent.required(firstEvent),
            eventCount: try Field.eventCount.required(eventCount),
            start: try Field.start.required(start),
            end: try Field.end.required(end),
            isSorted: try Field.isSorted.required(isSorted),
            lateCount: try Field.lateCount.required(lateCount)
        )
    }
}

extension Checkpoint {
    private enum Field: String, ObjectField {
        static let object = "a checkpoint"

        case byteOffset, sha256
    }
    private static let fields = ObjectFields<Field>()

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (byteOffset, sha256): (UInt64?, String?)
        try scanner.readObject(Self.fields, unknown: .refused) { field, scanner throws(JSONError) in
            switch field {
            case .byteOffset: byteOffset = try scanner.integer()
            case .sha256: sha256 = try scanner.string()
            }
        }
        self.init(byteOffset: try Field.byteOffset.required(byteOffset), sha256: try Field.sha256.required(sha256))
    }
}

extension ReadPosition {
    private enum Field: String, ObjectField {
        static let object = "a position"

        case line, byteOffset, eventsOfLine, events
    }
    private static let fields = ObjectFields<Field>()

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (line, byteOffset, eventsOfLine, events): (Int?, UInt64?, Int?, Int?)
        try scanner.readObject(Self.fields, unknown: .refused) { field, scanner throws(JSONError) in
            switch field {
            case .line: line = try scanner.integer()
            case .byteOffset: byteOffset = try scanner.integer()
            case .eventsOfLine: eventsOfLine = try scanner.integer()
            case .events: events = try scanner.integer()
            }
        }
        self.init(
            line: try Field.line.required(line),
            byteOffset: try Field.byteOffset.required(byteOffset),
            eventsOfLine: try Field.eventsOfLine.required(eventsOfLine),
            events: try Field.events.required(events)
        )
    }
}
