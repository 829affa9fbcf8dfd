public import Messages

/// Reads the lines of a table as events; the categories are left to the catalogue.
///
/// An event's type is what its column says, such as `event_type`. Without one, events of a table of ratings are of type
/// `rating`, and those of any other have none.
public struct MovieLensEventReader: EventReader {
    private var lines: EventLines<TableEventParser>

    /// Opens a file of ratings: `.dat`, or a table whose head names its columns.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened, or is no table of events.
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

    /// After the last line that was read.
    public var position: ReadPosition { lines.position }
    /// The line at which the last rating began.
    public var line: Int { lines.line }
    /// How many bad lines were skipped.
    public var skippedLines: Int { lines.skippedLines }
    /// The first bad line that was skipped.
    public var firstSkipped: DatasetError? { lines.firstSkipped }
    /// What was left out, decoded or assumed.
    public var counts: ReadingCounts { lines.counts }
    /// How much of the file on disk has been read.
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
