/// Reads a file of lines with a fixed number of fields.
struct FieldReader {
    private var lines: LineReader
    private let format: MovieLensFormat
    private let columns: [String]
    private let skipsBadLines: Bool
    private(set) var skippedLines = 0

    init(
        path: String,
        format: MovieLensFormat,
        columns: [String],
        from position: ReadPosition = .start,
        skipsBadLines: Bool
    ) throws(DatasetError) {
        self.lines = try LineReader(path, from: position)
        self.format = format
        self.columns = columns
        self.skipsBadLines = skipsBadLines
    }

    var position: ReadPosition { lines.position }

    /// What `parse` makes of the next line; nil at the end.
    ///
    /// Empty lines and the header of a CSV file are passed over.
    mutating func next<Value>(
        _ parse: ([String]) throws(DatasetError) -> Value
    ) throws(DatasetError) -> Value? {
        while let line = try lines.next() {
            if line.isEmpty { continue }
            do throws(DatasetError) {
                let fields = try format.fields(of: line)
                if format == .csv, lines.position.line == 1 {
                    try checkHeader(fields)
                    continue
                }
                guard fields.count == columns.count else {
                    throw DatasetError(
                        value: String(decoding: line, as: UTF8.self),
                        reason:
                            "has \(fields.count) fields, expected \(columns.count): \(columns.joined(separator: ", "))"
                    )
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

    private func checkHeader(_ fields: [String]) throws(DatasetError) {
        var names = fields
        if names.first?.unicodeScalars.first == "\u{FEFF}" { names[0].unicodeScalars.removeFirst() }
        guard names == columns else {
            throw DatasetError(
                value: fields.joined(separator: ","),
                reason: "is not the header of this file, expected \(columns.joined(separator: ","))"
            )
        }
    }
}
