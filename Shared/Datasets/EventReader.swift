public import Messages

/// Gives the events of a file one after the other, in bounded memory.
public protocol EventReader {
    /// The next event; nil at the end.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value, unless bad lines are skipped. Reading can go on after
    ///   a bad line.
    mutating func next() throws(DatasetError) -> Event?

    /// After the last line that was read; a reader opened from here goes on with the next one.
    var position: ReadPosition { get }

    /// How many bad lines were skipped.
    var skippedLines: Int { get }
}

extension EventReader {
    /// Calls `body` with every remaining event.
    public mutating func forEach(_ body: (Event) throws -> Void) throws {
        while let event = try next() { try body(event) }
    }
}
