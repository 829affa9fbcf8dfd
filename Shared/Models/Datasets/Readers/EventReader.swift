public import Messages

/// Reads the events of a file one after the other, in bounded memory.
public protocol EventReader {
    /// Reads the next event into a row; false at the end.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value, unless bad lines are skipped. Reading can continue
    ///   after a bad line.
    mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool

    /// The next event; nil at the end.
    ///
    /// - Throws: `DatasetError` like the other form.
    mutating func next() throws(DatasetError) -> Event?

    /// The position after the last event that was read; a reader opened here continues with the next one.
    var position: ReadPosition { get }

    /// The line at which the last event began, counted from 1.
    var line: Int { get }

    /// How many bad lines were skipped.
    var skippedLines: Int { get }

    /// The first bad line that was skipped, for callers that find nothing but bad lines.
    var firstSkipped: DatasetError? { get }

    /// Counts of what was left out, decoded or assumed, including bad lines.
    var counts: ReadingCounts { get }

    /// How many bytes of the file on disk have been read.
    var bytesRead: Int { get }
}

extension EventReader {
    /// The number of the last line that was read.
    public var line: Int { position.line }

    /// The count of bad lines that were skipped.
    public var counts: ReadingCounts {
        var counts = ReadingCounts()
        counts[.badLines] = skippedLines
        return counts
    }

    /// Calls `body` with every remaining event.
    public mutating func forEach(_ body: (Event) throws -> Void) throws {
        while let event: Event = try next() { try body(event) }
    }
}
