internal import Messages

/// Makes events of lines, for a format in which a line is an event.
protocol LineParser {
    /// The type of events whose lines say none; nil where nothing is known of it.
    var eventType: String? { get }
    /// What is between the fields of a table in which a field may have line breaks in quotes; nil where a line is a line.
    var recordDelimiter: UInt8? { get }
    /// What was decoded or assumed.
    var counts: ReadingCounts { get }
    /// Reads a line into a row that is empty.
    ///
    /// - Parameters:
    ///   - bytes: where the line stands.
    ///   - line: its place there.
    ///   - number: its number in the file, from 1.
    ///   - row: takes the event.
    /// - Returns: whether there was an event in it.
    /// - Throws: `DatasetError` without file and line.
    mutating func parse(
        _ bytes: [UInt8],
        _ line: Range<Int>,
        number: Int,
        into row: inout EventRow
    ) throws(DatasetError) -> Bool
}

/// Reads a file with one event in each line; empty lines are passed over.
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
            do throws(DatasetError) {
                if try parser.parse(lines.bytes, line, number: self.line, into: &row) { return true }
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

    /// Counts a bad line, or says where it is.
    private mutating func skip(_ error: DatasetError) throws(DatasetError) {
        var error = error.advised()
        error.file = lines.path
        error.line = line
        guard skipsBadLines else { throw error }
        skippedLines += 1
        if firstSkipped == nil { firstSkipped = error }
    }
}
