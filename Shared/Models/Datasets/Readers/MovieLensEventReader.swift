public import Messages

/// Reads the lines of a table as events; categories come from the catalogue instead.
///
/// An event's type comes from a column such as `event_type`. Without one, the events of a table of ratings have the
/// type `rating`, and those of any other table have none.
public struct MovieLensEventReader: EventReader {
    private var lines: EventLines<TableEventParser>

    /// Opens a ratings file: `.dat`, or a table with column names in its header.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened or is not a table of events.
    public init(
        path: String,
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false
    ) throws(DatasetError) {
        try self.init(path, try TableLayout.ofRatings(path), from: position, skipsBadLines: skipsBadLines)
    }

    init(_ path: String, _ layout: TableLayout, from position: ReadPosition, skipsBadLines: Bool) throws(DatasetError) {
        let parser: TableEventParser
        do throws(DatasetError) {
            parser = try TableEventParser(layout)
        } catch {
            throw DatasetError(file: path, line: layout.headLine, reason: error.reason)
        }
        lines = try EventLines(path, parser, from: position, skipsBadLines: skipsBadLines)
    }

    /// The position after the last line that was read.
    public var position: ReadPosition { lines.position }
    /// The line at which the last rating began.
    public var line: Int { lines.line }
    /// How many bad lines were skipped.
    public var skippedLines: Int { lines.skippedLines }
    /// The first bad line that was skipped.
    public var firstSkipped: DatasetError? { lines.firstSkipped }
    /// Counts of what was left out, decoded or assumed.
    public var counts: ReadingCounts { lines.counts }
    /// How many bytes of the file on disk have been read.
    public var bytesRead: Int { lines.bytesRead }

    /// Reads the next rating into a row; false at the end.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value.
    public mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool { try lines.next(&row) }

    /// The next rating as an event; nil at the end.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value.
    public mutating func next() throws(DatasetError) -> Event? { try lines.next() }
}
