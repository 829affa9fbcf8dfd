public import Messages

/// Reads a file with one event as a JSON object in each line, in the form that the event ingestor takes.
///
/// Fields: `user`, `item`, `time` (whole milliseconds since 1970 or ISO 8601), and where there are any `rating`, `type`,
/// `categories`, `text`, `event_id`. Empty lines are passed over.
public struct NDJSONEventReader: EventReader {
    private var lines: LineReader
    private let skipsBadLines: Bool
    /// How many bad lines were skipped.
    public private(set) var skippedLines = 0

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

    /// After the last line that was read.
    public var position: ReadPosition { lines.position }
    /// How much of the file on disk has been read.
    public var bytesRead: Int { lines.bytesRead }

    /// Reads the next event into a row; false at the end.
    ///
    /// - Throws: `DatasetError` naming file, line and field.
    public mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool {
        guard let event: Event = try next() else { return false }
        row.clear()
        row.user.append(contentsOf: event.user.utf8)
        row.item.append(contentsOf: event.item.utf8)
        row.rating = event.rating ?? .nan
        row.time = event.time
        if let text = event.text { row.text.append(contentsOf: text.utf8) }
        return true
    }

    /// The next event; nil at the end.
    ///
    /// - Throws: `DatasetError` naming file, line and field.
    public mutating func next() throws(DatasetError) -> Event? {
        while let line = try lines.next() {
            if line.isEmpty { continue }
            do throws(MessageError) {
                return try Event(decoding: Array(lines.bytes[line]), contentType: "application/json")
            } catch {
                guard skipsBadLines else {
                    throw DatasetError(
                        file: lines.path,
                        line: lines.position.line,
                        field: error.field,
                        reason: error.reason
                    )
                }
                skippedLines += 1
            }
        }
        return nil
    }
}
