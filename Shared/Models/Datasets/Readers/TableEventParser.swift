internal import Messages

/// Reads the records of a table as events.
///
/// A column such as `event_type` gives an event's type. In a table without one, lines with a rating are ratings, and
/// the type of all others is unknown.
struct TableEventParser: LineParser {
    let eventType: String?
    private let layout: TableLayout
    private let user: Int
    private let item: Int
    private let rating: Int?
    private let time: Int?
    private let type: Int?
    private var fields: TableFields
    private var times = TimeReader(.seconds)
    private var withoutTime = 0
    private var decimalCommas = 0

    /// Makes a parser of a table with events.
    init(_ layout: TableLayout) throws(DatasetError) {
        guard let user = layout[.user], let item = layout[.item] else {
            throw DatasetError(reason: "names no column of users and items")
        }
        self.layout = layout
        (self.user, self.item) = (user, item)
        (rating, time, type) = (layout[.rating], layout[.time], layout[.type])
        eventType = type == nil && rating != nil ? "rating" : nil
        fields = TableFields(layout.delimiter)
    }

    var recordDelimiter: UInt8? { layout.delimiter.hasQuotes ? layout.delimiter.byte : nil }

    var counts: ReadingCounts {
        var counts = times.counts
        counts[.timesFromOrder] = withoutTime
        counts.add(unknownFields: layout.unreadColumns)
        counts[.decimalCommas] = decimalCommas
        return counts
    }

    /// How databases and Python write a missing value: all events without a user would become those of one user.
    private static let missing = [
        "NULL", "Null", "null", #"\N"#, "None", "nan", "NaN", "NAN", "<NA>", "NA", "N/A", "n/a", "#N/A", "undefined",
    ].map { Array($0.utf8) }

    /// Rejects missing or altered ids: they would merge many users into one, or split one into two.
    private static func checkID(_ id: [UInt8], _ column: String) throws(DatasetError) {
        guard let first = id.first, let last = id.last else {
            throw DatasetError(field: column, value: "", reason: "is empty")
        }
        let reason: String
        if first <= 0x20 || last <= 0x20 {
            reason = "has white space at its end; an id is compared with it: remove it"
        } else if first &- UInt8(ascii: "0") <= 9 {
            // Most ids are numbers, and most of those have neither a decimal point nor an E.
            guard let mark = id.first(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }),
                isRounded(id, mark)
            else { return }
            reason = "is a number that a spreadsheet or pandas has written anew; write the id's own digits"
        } else if isMissing(id) {
            reason = "says that there is no value; leave the line out, or skip bad lines"
        } else {
            return
        }
        throw DatasetError(field: column, value: String(decoding: id.prefix(200), as: UTF8.self), reason: reason)
    }

    private static func isMissing(_ value: [UInt8]) -> Bool {
        value.first.map { "#<NU\\nu".utf8.contains($0) } == true && missing.contains(value)
    }

    /// Whether an id that begins with a digit is `1.08991E+20` or `123.0`; `1e5` and `1.5` may be ids.
    private static func isRounded(_ id: [UInt8], _ mark: UInt8) -> Bool {
        guard id.count <= 40, let value = Double(String(decoding: id, as: UTF8.self)), value.isFinite else {
            return false
        }
        let exponent = id.contains { $0 | 0x20 == UInt8(ascii: "e") }
        return exponent
            ? mark == UInt8(ascii: ".") && id.contains(UInt8(ascii: "+")) : id.suffix(2).elementsEqual(".0".utf8)
    }

    mutating func parse(_ bytes: [UInt8], _ line: Range<Int>, into row: inout EventRow) throws(DatasetError) -> Bool {
        // Lines before the header only define the field separator.
        if row.line <= layout.headLine { return false }
        try fields.split(bytes, line)
        guard fields.count == layout.columns.count else {
            throw DatasetError(
                value: String(decoding: bytes[line].prefix(200), as: UTF8.self),
                reason: "has \(fields.count) fields, expected \(layout.columns.count): \(layout.columnText)"
            )
        }
        fields.append(user, of: bytes, to: &row.user)
        fields.append(item, of: bytes, to: &row.item)
        try Self.checkID(row.user, layout.columns[user])
        try Self.checkID(row.item, layout.columns[item])
        if let rating { row.rating = try readRating(rating, bytes) }
        if let type { try readType(type, bytes, into: &row.type) }
        if let time {
            row.time = try readTime(time, bytes)
        } else {
            // As in a file of sequences, one second per line keeps the order.
            row.time = TimeReader.invented(Int64(row.line))
            withoutTime += 1
        }
        return true
    }

    private mutating func readTime(_ column: Int, _ bytes: [UInt8]) throws(DatasetError) -> Int64 {
        let (bytes, field) = fields.field(column, of: bytes)
        do throws(DatasetError) {
            return try times.milliseconds(bytes, field)
        } catch {
            throw DatasetError(field: layout.columns[column], value: error.value, reason: error.reason)
        }
    }

    /// Reads the event type; validated like a JSON field, so that callers that ignore it reject the same lines.
    private func readType(_ column: Int, _ bytes: [UInt8], into type: inout [UInt8]) throws(DatasetError) {
        fields.append(column, of: bytes, to: &type)
        if Self.isMissing(type) { return type.removeAll(keepingCapacity: true) }
        _ = try TextCheck.text(
            type,
            layout.columns[column],
            of: "the type of an event",
            limit: Limits.nameByteCount,
            onNUL: "remove it"
        )
    }

    private mutating func readRating(_ column: Int, _ bytes: [UInt8]) throws(DatasetError) -> Float {
        let (bytes, field) = fields.field(column, of: bytes)
        if let value = ByteNumber.decimal(bytes, field), (0...10).contains(value) { return value }
        // If commas do not separate fields, a comma in a number is a decimal comma: no rating is in the thousands.
        if layout.delimiter != .comma, let comma = bytes[field].firstIndex(of: UInt8(ascii: ",")) {
            var text = Array(bytes[field])
            text[comma - field.lowerBound] = UInt8(ascii: ".")
            if let value = ByteNumber.decimal(text, 0..<text.count), (0...10).contains(value) {
                decimalCommas += 1
                return value
            }
        }
        throw DatasetError(
            field: layout.columns[column],
            value: String(decoding: bytes[field].prefix(200), as: UTF8.self),
            reason: "is not a number from 0 to 10"
        )
    }
}
