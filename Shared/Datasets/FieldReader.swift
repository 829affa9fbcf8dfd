/// Reads a file of lines with a fixed number of fields.
struct FieldReader {
    private var lines: LineReader
    private let format: MovieLensFormat
    private let columns: [String]
    private let skipsBadLines: Bool
    private(set) var skippedLines = 0

    init(path: String, columns: [String], skipsBadLines: Bool) throws(DatasetError) {
        self.lines = try LineReader(path)
        self.format = MovieLensFormat(path: path)
        self.columns = columns
        self.skipsBadLines = skipsBadLines
    }

    /// What `parse` makes of the next line; nil at the end.
    ///
    /// Empty lines and the header of a CSV file are passed over.
    mutating func next<Value>(
        _ parse: ([String]) throws(DatasetError) -> Value
    ) throws(DatasetError) -> Value? {
        while let line = try lines.next() {
            if line.isEmpty { continue }
            do throws(DatasetError) {
                let fields = try format.fields(of: lines.bytes[line])
                if format == .csv, lines.position.line == 1 {
                    try format.checkHeader(fields, columns: columns)
                    continue
                }
                guard fields.count == columns.count else {
                    throw format.wrongCount(fields.count, columns: columns, line: lines.bytes[line])
                }
                return try parse(fields)
            } catch {
                if skipsBadLines, lines.position.line > 1 || format == .dat {
                    skippedLines += 1
                    continue
                }
                throw DatasetError(
                    file: lines.path,
                    line: lines.position.line,
                    field: error.field,
                    value: error.value,
                    reason: error.reason
                )
            }
        }
        return nil
    }
}
