/// How MovieLens files are written: which characters separate fields, and how text is encoded.
enum MovieLensFormat: Sendable {
    /// The 10M set and older: `.dat`, fields separated by `::`, UTF-8 or latin-1.
    case dat
    /// Later sets: `.csv` with a header line, fields that hold a comma in quotes, UTF-8.
    case csv

    /// The form of a file, by its name.
    init(path: String) {
        self = path.hasSuffix(".dat") || path.hasSuffix(".dat.gz") ? .dat : .csv
    }

    /// Refuses a first line that has other columns.
    func checkHeader(_ names: [String], columns: [String]) throws(DatasetError) {
        guard names == columns else {
            throw DatasetError(
                value: names.joined(separator: ","),
                reason: "is not the header of this file, expected \(columns.joined(separator: ","))"
            )
        }
    }

    /// The error about a line with too few or too many fields.
    func wrongCount(_ count: Int, columns: [String], line: ArraySlice<UInt8>) -> DatasetError {
        DatasetError(
            value: String(decoding: line, as: UTF8.self),
            reason: "has \(count) fields, expected \(columns.count): \(columns.joined(separator: ", "))"
        )
    }

    /// The fields of one line.
    ///
    /// - Throws: `DatasetError` without file and line.
    func fields(of line: ArraySlice<UInt8>) throws(DatasetError) -> [String] {
        switch self {
        case .dat: Self.datFields(line)
        case .csv: try Self.csvFields(line)
        }
    }

    private static func datFields(_ line: ArraySlice<UInt8>) -> [String] {
        var fields: [String] = []
        var start = line.startIndex
        var index = start
        while index < line.endIndex {
            if line[index] == UInt8(ascii: ":"), index + 1 < line.endIndex, line[index + 1] == UInt8(ascii: ":") {
                fields.append(text(line[start..<index]))
                index += 2
                start = index
            } else {
                index += 1
            }
        }
        fields.append(text(line[start...]))
        return fields
    }

    /// Text of the 10M set is UTF-8, that of the 1M set latin-1, and no title of that is by chance UTF-8 as well.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var scalars = String.UnicodeScalarView()
        for byte in bytes { scalars.append(Unicode.Scalar(byte)) }
        return String(scalars)
    }

    /// - Source: RFC 4180, within one line: no MovieLens field has a line break.
    private static func csvFields(_ line: ArraySlice<UInt8>) throws(DatasetError) -> [String] {
        let quote = UInt8(ascii: "\"")
        var fields: [[UInt8]] = [[]]
        var isQuoted = false
        var index = line.startIndex
        while index < line.endIndex {
            let byte = line[index]
            if isQuoted, byte == quote {
                if index + 1 < line.endIndex, line[index + 1] == quote {
                    fields[fields.count - 1].append(quote)
                    index += 1
                } else {
                    isQuoted = false
                }
            } else if !isQuoted, byte == quote, fields[fields.count - 1].isEmpty {
                isQuoted = true
            } else if !isQuoted, byte == UInt8(ascii: ",") {
                fields.append([])
            } else {
                fields[fields.count - 1].append(byte)
            }
            index += 1
        }
        guard !isQuoted else {
            throw DatasetError(value: String(decoding: line, as: UTF8.self), reason: "has a quote that is not closed")
        }
        var texts: [String] = []
        for field in fields {
            guard let text = String(validating: field, as: UTF8.self) else {
                throw DatasetError(value: String(decoding: field, as: UTF8.self), reason: "is not UTF-8")
            }
            texts.append(text)
        }
        return texts
    }

    /// A field as a MovieLens file writes it.
    static func csvQuoted(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
