/// The fields of one record of a table; reused for every record.
///
/// - Source: RFC 4180 for quotes: a field may be quoted, and a quote inside is doubled.
struct TableFields {
    private let delimiter: TableLayout.Delimiter
    /// The range of each field, in the record's bytes or in `unquoted`.
    private var ranges: [Range<Int>] = []
    private var isUnquoted = false
    /// The unquoted fields, one after the other.
    private var unquoted: [UInt8] = []

    init(_ delimiter: TableLayout.Delimiter) { self.delimiter = delimiter }

    /// How many fields there are.
    var count: Int { ranges.count }

    /// The bytes and range of a field: in the record's bytes, or in a copy without quotes.
    func field(_ number: Int, of bytes: [UInt8]) -> (bytes: [UInt8], field: Range<Int>) {
        (isUnquoted ? unquoted : bytes, ranges[number])
    }

    /// Appends the bytes of a field to `target`.
    func append(_ number: Int, of bytes: [UInt8], to target: inout [UInt8]) {
        target.append(contentsOf: isUnquoted ? unquoted[ranges[number]] : bytes[ranges[number]])
    }

    /// A field as text; invalid UTF-8 is replaced.
    func text(_ number: Int, of bytes: [UInt8]) -> String {
        String(decoding: isUnquoted ? unquoted[ranges[number]] : bytes[ranges[number]], as: UTF8.self)
    }

    /// Finds the fields of a record.
    ///
    /// - Throws: `DatasetError` without file and line.
    mutating func split(_ bytes: [UInt8], _ record: Range<Int>) throws(DatasetError) {
        ranges.removeAll(keepingCapacity: true)
        isUnquoted = false
        let (separator, length) = (delimiter.byte, delimiter.length)
        let hasQuotes = delimiter.hasQuotes
        var start = record.lowerBound
        var index = start
        if hasQuotes, index < record.upperBound, bytes[index] == UInt8(ascii: "\"") {
            return try splitQuoted(bytes, record)
        }
        while index < record.upperBound {
            guard bytes[index] == separator,
                length == 1 || (index + 1 < record.upperBound && bytes[index + 1] == separator)
            else {
                index += 1
                continue
            }
            try add(start..<index)
            index += length
            start = index
            if hasQuotes, index < record.upperBound, bytes[index] == UInt8(ascii: "\"") {
                return try splitQuoted(bytes, record)
            }
        }
        try add(start..<record.upperBound)
    }

    private mutating func add(_ range: Range<Int>) throws(DatasetError) {
        guard ranges.count < TableLayout.maximumColumnCount else {
            throw DatasetError(
                reason: "has more than \(TableLayout.maximumColumnCount) fields; is this a table, and whole?"
            )
        }
        ranges.append(range)
    }

    private mutating func splitQuoted(_ bytes: [UInt8], _ record: Range<Int>) throws(DatasetError) {
        let quote = UInt8(ascii: "\"")
        ranges.removeAll(keepingCapacity: true)
        unquoted.removeAll(keepingCapacity: true)
        isUnquoted = true
        var index = record.lowerBound
        while true {
            let start = unquoted.count
            if index < record.upperBound, bytes[index] == quote {
                let opening = index
                index += 1
                while true {
                    guard index < record.upperBound else {
                        throw DatasetError(
                            value: String(decoding: bytes[opening..<record.upperBound].prefix(200), as: UTF8.self),
                            reason:
                                "begins with a quote that is not closed; close it, or write a quote within a field twice"
                        )
                    }
                    if bytes[index] == quote {
                        index += 1
                        guard index < record.upperBound, bytes[index] == quote else { break }
                    }
                    unquoted.append(bytes[index])
                    index += 1
                }
                guard index == record.upperBound || bytes[index] == delimiter.byte else {
                    throw DatasetError(
                        value: String(decoding: bytes[opening..<record.upperBound].prefix(200), as: UTF8.self),
                        reason: "has text after the quote that closes a field; write a quote within a field twice"
                    )
                }
            } else {
                while index < record.upperBound, bytes[index] != delimiter.byte {
                    unquoted.append(bytes[index])
                    index += 1
                }
            }
            try add(start..<unquoted.count)
            guard index < record.upperBound else { return }
            index += 1
        }
    }

    /// A field as written in a comma-separated file.
    static func quoted(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "\"") || $0 < 0x20 }) else {
            return text
        }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
