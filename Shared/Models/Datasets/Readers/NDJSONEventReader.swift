internal import Bytes
internal import JSON
public import Messages

/// Reads a file with one JSON object per line for each event, in the format of the event ingestor.
///
/// For field names and their aliases see `Event.init(json:_:receivedAt:unknown:)`. Empty lines are skipped.
public struct NDJSONEventReader: EventReader {
    private var lines: LineReader
    private let skipsBadLines: Bool
    /// How many bad lines were skipped.
    public private(set) var skippedLines = 0
    /// The first bad line that was skipped.
    public private(set) var firstSkipped: DatasetError?
    private var times = TimeReader(.milliseconds)
    private var numericIDs = 0
    private var unknown = UnknownFields(.listed)

    /// Opens a file.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened.
    public init(
        path: String,
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false
    ) throws(DatasetError) {
        self.lines = try LineReader(path, from: position)
        self.skipsBadLines = skipsBadLines
    }

    /// The position after the last line that was read.
    public var position: ReadPosition { lines.position }
    /// How many bytes of the file on disk have been read.
    public var bytesRead: Int { lines.bytesRead }
    /// Counts of bad lines, numeric ids, and times that are not milliseconds.
    public var counts: ReadingCounts {
        var counts = times.counts
        counts[.badLines] = skippedLines
        counts[.numericIDs] = numericIDs
        counts.add(unknownFields: unknown.names)
        return counts
    }

    /// Reads the next event into a row; false at the end.
    ///
    /// - Throws: `DatasetError` naming file, line and field.
    public mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool {
        while let line = try lines.next() {
            if lines.isBlank(line) { continue }
            row.clear()
            if let number = EventScanner.read(lines.bytes, line, into: &row), let time = times.milliseconds(number) {
                row.time = time
                return true
            }
            // Unusual or invalid lines go to the record reader, which reports what is wrong.
            guard let event = try event(line) else { continue }
            row.clear()
            row.user.append(contentsOf: event.user.utf8)
            row.item.append(contentsOf: event.item.utf8)
            row.rating = event.rating ?? .nan
            row.time = event.time
            if let text = event.text { row.text.append(contentsOf: text.utf8) }
            if let type = event.type { row.type.append(contentsOf: type.utf8) }
            return true
        }
        return false
    }

    /// The next event; nil at the end.
    ///
    /// - Throws: `DatasetError` naming file, line and field.
    public mutating func next() throws(DatasetError) -> Event? {
        while let line = try lines.next() {
            if lines.isBlank(line) { continue }
            if let event = try event(line) { return event }
        }
        return nil
    }

    /// The event of a line; nil when it is bad and skipped.
    private mutating func event(_ line: Range<Int>) throws(DatasetError) -> Event? {
        var problem: DatasetError
        do throws(MessageError) {
            let event = try CheckedEvent(json: lines.bytes, line, receivedAt: nil, unknown: &unknown).event
            guard let refused = EventScanner.count(lines.bytes, line, &times, numericIDs: &numericIDs) else {
                return event
            }
            problem = refused
        } catch {
            problem = DatasetError(field: error.field, reason: error.reason)
        }
        (problem.file, problem.line) = (lines.path, lines.position.line)
        guard skipsBadLines else { throw problem }
        skippedLines += 1
        if firstSkipped == nil { firstSkipped = problem }
        return nil
    }
}

/// Reads events written in the usual form, many times as fast as the record reader.
private enum EventScanner {
    private enum Field: Int { case user, item, rating, time, text, type, id }
    private static let names = ["user", "item", "rating", "time", "text", "type", "event_id"].map { Array($0.utf8) }

    private static let idNames = ["user", "user_id", "userId", "item", "item_id", "itemId"].map { Array($0.utf8) }
    private static let timeNames = ["time", "timestamp", "ts", "event_time", "eventTime"].map { Array($0.utf8) }

    /// Counts how the record reader interpreted the numbers of a line; returns what is wrong with its time, which shows
    /// in the context of a file but not from an event alone.
    static func count(
        _ bytes: [UInt8],
        _ line: Range<Int>,
        _ times: inout TimeReader,
        numericIDs: inout Int
    ) -> DatasetError? {
        var scanner = ValueScanner(bytes, line)
        var isFirst = true
        var ids = 0
        guard (try? scanner.beginObject()) != nil else { return nil }
        while let name = try? scanner.nextField(isFirst: isFirst) {
            isFirst = false
            let (isID, isTime) = (
                scanner.name(name, among: idNames) != nil, scanner.name(name, among: timeNames) != nil
            )
            guard isID || isTime, !scanner.isAtString(), !scanner.takeNull(), let number = try? scanner.number() else {
                guard (try? scanner.skipValue()) != nil else { return nil }
                continue
            }
            if isID {
                ids += 1
                continue
            }
            let time = scanner.integer(number)
            if let time, times.milliseconds(time) != nil { continue }
            guard let whole = time ?? Int64(scanner.text(number).prefix { $0 != "." }),
                let reason = times.refusal(of: whole)
            else { continue }
            return DatasetError(field: scanner.text(name), value: scanner.text(number), reason: reason)
        }
        numericIDs += ids
        return nil
    }

    /// Reads a line into an empty row, except its time, which is returned; nil when the line needs a closer look.
    static func read(_ bytes: [UInt8], _ line: Range<Int>, into row: inout EventRow) -> Int64? {
        do throws(DatasetError) {
            return try scan(bytes, line, into: &row)
        } catch {
            return nil
        }
    }

    private static func scan(
        _ bytes: [UInt8],
        _ line: Range<Int>,
        into row: inout EventRow
    ) throws(DatasetError) -> Int64? {
        var scanner = ValueScanner(bytes, line)
        var found = 0
        var time: Int64 = 0
        var isFirst = true
        // Not part of the row, but an invalid value is still an error.
        var id: [UInt8] = []
        try scanner.beginObject()
        while let name = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            guard let field = scanner.name(name, among: names).flatMap(Field.init) else {
                // Categories and unknown fields are checked there too.
                return nil
            }
            // If a field occurs twice, the record reader decides which one counts.
            guard found & 1 << field.rawValue == 0 else { return nil }
            found |= 1 << field.rawValue
            switch field {
            case .user: try scanner.string(into: &row.user)
            case .item: try scanner.string(into: &row.item)
            case .text: try scanner.string(into: &row.text)
            case .type: try scanner.string(into: &row.type)
            case .id:
                try scanner.string(into: &id)
                if id.isEmpty { return nil }
            case .rating:
                guard let rating = scanner.decimal(try scanner.number()) else { return nil }
                row.rating = rating
            case .time:
                guard let number = scanner.integer(try scanner.number()) else { return nil }
                time = number
            }
        }
        try scanner.finish()
        let needed = 1 << Field.user.rawValue | 1 << Field.item.rawValue | 1 << Field.time.rawValue
        let isPlain =
            found & needed == needed && !row.user.isEmpty && !row.item.isEmpty
            && isGood(row.user, Limits.identifierByteCount) && isGood(row.item, Limits.identifierByteCount)
            && isGood(row.text, Limits.textByteCount) && isGood(row.type, Limits.nameByteCount)
            && isGood(id, Limits.identifierByteCount)
        return isPlain ? time : nil
    }

    /// Whether a text is within the limit and plain.
    private static func isGood(_ text: [UInt8], _ limit: Int) -> Bool {
        text.count <= limit && text.allSatisfy { $0 > 0 && $0 < 0x80 }
    }
}
