public import Messages

/// Gives the events of a file one after the other, in bounded memory.
public protocol EventReader {
    /// Reads the next event into a row; false at the end.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value, unless bad lines are skipped. Reading can go on after
    ///   a bad line.
    mutating func next(_ row: inout EventRow) throws(DatasetError) -> Bool

    /// The next event; nil at the end.
    ///
    /// - Throws: `DatasetError` as the other form does.
    mutating func next() throws(DatasetError) -> Event?

    /// After the last event that was read; a reader opened from here goes on with the next one.
    var position: ReadPosition { get }

    /// The line at which the last event began, counted from 1.
    var line: Int { get }

    /// How many bad lines were skipped.
    var skippedLines: Int { get }

    /// The first bad line that was skipped, for whoever finds nothing but bad lines.
    var firstSkipped: DatasetError? { get }

    /// What was left out, decoded or assumed, with the bad lines.
    var counts: ReadingCounts { get }

    /// How much of the file on disk has been read.
    var bytesRead: Int { get }
}

extension EventReader {
    /// The last line that was read.
    public var line: Int { position.line }

    /// The bad lines that were skipped.
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
