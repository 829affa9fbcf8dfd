public import Messages

/// Reads MovieLens ratings as events of type `rating`; the categories are left to the catalogue.
public struct MovieLensEventReader: EventReader {
    private var lines: FieldReader

    /// Opens a file of ratings; `.dat` means the `::` form, anything else CSV.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened.
    public init(
        path: String,
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false
    ) throws(DatasetError) {
        try self.init(
            path: path,
            format: path.hasSuffix(".dat") ? .dat : .csv,
            from: position,
            skipsBadLines: skipsBadLines
        )
    }

    init(
        path: String,
        format: MovieLensFormat,
        from position: ReadPosition,
        skipsBadLines: Bool
    ) throws(DatasetError) {
        lines = try FieldReader(
            path: path,
            format: format,
            columns: ["userId", "movieId", "rating", "timestamp"],
            from: position,
            skipsBadLines: skipsBadLines
        )
    }

    /// After the last line that was read.
    public var position: ReadPosition { lines.position }
    /// How many bad lines were skipped.
    public var skippedLines: Int { lines.skippedLines }

    /// The next rating as an event; nil at the end.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value.
    public mutating func next() throws(DatasetError) -> Event? {
        try lines.next { (fields) throws(DatasetError) in try Self.event(fields) }
    }

    private static func event(_ fields: [String]) throws(DatasetError) -> Event {
        guard !fields[0].isEmpty else { throw DatasetError(field: "userId", value: "", reason: "is empty") }
        guard !fields[1].isEmpty else { throw DatasetError(field: "movieId", value: "", reason: "is empty") }
        guard let rating = Float(fields[2]), (0...10).contains(rating) else {
            throw DatasetError(field: "rating", value: fields[2], reason: "is not a number from 0 to 10")
        }
        // Seconds since 1970; the bound keeps milliseconds in range.
        guard let time = Int64(fields[3]), (0...100_000_000_000).contains(time) else {
            throw DatasetError(
                field: "timestamp",
                value: fields[3],
                reason: "is not a time in whole seconds since 1970"
            )
        }
        return Event(user: fields[0], item: fields[1], type: "rating", rating: rating, time: time * 1_000)
    }
}
