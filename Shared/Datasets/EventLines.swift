internal import Messages

/// Makes events of lines, for a format in which a line is an event.
protocol LineParser {
    /// The type of these events.
    var eventType: String { get }
    /// Whether a wrong first line means a wrong file, also where bad lines are skipped.
    var hasHeader: Bool { get }
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
    private(set) var skippedLines = 0

    init(
        _ path: String,
        _ parser: Parser,
        from position: ReadPosition,
        skipsBadLines: Bool
    ) throws(DatasetError) {
        lines = try LineReader(path, from: position)
        self.parser = parser
        self.skipsBadLines = skipsBadLines
    }

    var position: ReadPosition { lines.position }
    var bytesRead: Int { lines.bytesRead }

    mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool {
        while let line = try lines.next() {
            if line.isEmpty { continue }
            row.clear()
            do throws(DatasetError) {
                if try parser.parse(lines.bytes, line, number: lines.position.line, into: &row) { return true }
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
        if skipsBadLines, lines.position.line > 1 || !parser.hasHeader {
            skippedLines += 1
            return
        }
        var error = error
        error.file = lines.path
        error.line = lines.position.line
        throw error
    }
}
