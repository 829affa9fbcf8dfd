internal import Messages

/// Parses lines into events, for a format with one event per line.
protocol LineParser {
    /// The type of events whose lines have none; nil when it is unknown.
    var eventType: String? { get }
    /// The field delimiter of a table whose quoted fields may contain line breaks; nil when each line is a record.
    var recordDelimiter: UInt8? { get }
    /// Counts of what was decoded or assumed.
    var counts: ReadingCounts { get }
    /// Parses a line into a row that is empty but for the line's number.
    ///
    /// - Parameters:
    ///   - bytes: the buffer that holds the line.
    ///   - line: the line's range in the buffer.
    ///   - row: receives the event.
    /// - Returns: whether the line holds an event.
    /// - Throws: `DatasetError` without file and line.
    mutating func parse(_ bytes: [UInt8], _ line: Range<Int>, into row: inout EventRow) throws(DatasetError) -> Bool
}

/// Reads a file with one event per line; empty lines are skipped.
struct EventLines<Parser: LineParser>: EventReader {
    private var lines: LineReader
    private var parser: Parser
    private let skipsBadLines: Bool
    private let recordDelimiter: UInt8?
    private(set) var skippedLines = 0
    private(set) var firstSkipped: DatasetError?

    init(
        _ path: String,
        _ parser: Parser,
        from position: ReadPosition,
        skipsBadLines: Bool
    ) throws(DatasetError) {
        lines = try LineReader(path, from: position)
        self.parser = parser
        self.skipsBadLines = skipsBadLines
        recordDelimiter = parser.recordDelimiter
    }

    var position: ReadPosition { lines.position }
    var bytesRead: Int { lines.bytesRead }
    var line: Int { recordDelimiter == nil ? lines.position.line : lines.recordLine }

    var counts: ReadingCounts {
        var counts = parser.counts
        counts[.badLines] += skippedLines
        counts[.recordsOfSeveralLines] += lines.longRecords
        return counts
    }

    private mutating func nextLine() throws(DatasetError) -> Range<Int>? {
        if let recordDelimiter { return try lines.nextRecord(delimiter: recordDelimiter) }
        return try lines.next()
    }

    mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool {
        while let line = try nextLine() {
            if lines.isBlank(line) { continue }
            row.clear()
            row.line = self.line
            do throws(DatasetError) {
                if try parser.parse(lines.bytes, line, into: &row) { return true }
            } catch {
                try skip(error)
            }
        }
        return false
    }

    mutating func next() throws(DatasetError) -> Event? {
        var row = EventRow()
        while try next(&row) {
            do throws(DatasetError) {
                return try Event(row, type: parser.eventType)
            } catch {
                try skip(error)
            }
        }
        return nil
    }

    /// Counts a bad line, or throws with its location.
    private mutating func skip(_ error: DatasetError) throws(DatasetError) {
        var error = error.advised()
        error.file = lines.path
        error.line = line
        guard skipsBadLines else { throw error }
        skippedLines += 1
        if firstSkipped == nil { firstSkipped = error }
    }
}
