public import Messages

/// Reads MovieLens ratings as events of type `rating`; the categories are left to the catalogue.
public struct MovieLensEventReader: EventReader {
    private var lines: EventLines<MovieLensRatingParser>

    /// Opens a file of ratings; `.dat` or `.dat.gz` means the `::` form, anything else CSV.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened.
    public init(
        path: String,
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false
    ) throws(DatasetError) {
        lines = try EventLines(
            path,
            MovieLensRatingParser(format: MovieLensFormat(path: path)),
            from: position,
            skipsBadLines: skipsBadLines
        )
    }

    /// After the last line that was read.
    public var position: ReadPosition { lines.position }
    /// How many bad lines were skipped.
    public var skippedLines: Int { lines.skippedLines }
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
