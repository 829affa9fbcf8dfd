/// Reads lines of MovieLens ratings: user, film, rating, seconds since 1970.
struct MovieLensRatingParser: LineParser {
    static let columns = ["userId", "movieId", "rating", "timestamp"]

    let format: MovieLensFormat
    let eventType = "rating"
    var hasHeader: Bool { format == .csv }

    mutating func parse(
        _ bytes: [UInt8],
        _ line: Range<Int>,
        number: Int,
        into row: inout EventRow
    ) throws(DatasetError) -> Bool {
        if format == .csv, number == 1 {
            try format.checkHeader(try format.fields(of: bytes[line]), columns: Self.columns)
            return false
        }
        let separatorLength = format == .dat ? 2 : 1
        guard let first = separator(bytes, line.lowerBound, line.upperBound),
            let second = separator(bytes, first + separatorLength, line.upperBound),
            let third = separator(bytes, second + separatorLength, line.upperBound),
            separator(bytes, third + separatorLength, line.upperBound) == nil
        else { return try parseSlowly(bytes, line, into: &row) }
        let user = line.lowerBound..<first
        let item = (first + separatorLength)..<second
        let rating = (second + separatorLength)..<third
        let time = (third + separatorLength)..<line.upperBound
        // Such numbers have no quotes; what is written in another way than usual is looked at closely.
        guard !user.isEmpty, !item.isEmpty, bytes[user.lowerBound] != UInt8(ascii: "\""),
            bytes[item.lowerBound] != UInt8(ascii: "\""), let value = ByteNumber.decimal(bytes, rating),
            (0...10).contains(value), let seconds = ByteNumber.integer(bytes, time), Self.times.contains(seconds)
        else { return try parseSlowly(bytes, line, into: &row) }
        row.user.append(contentsOf: bytes[user])
        row.item.append(contentsOf: bytes[item])
        row.rating = value
        row.time = seconds * 1_000
        return true
    }

    /// Seconds since 1970; the bound keeps milliseconds in range.
    private static let times: ClosedRange<Int64> = 0...100_000_000_000

    private func separator(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Int? {
        var index = start
        switch format {
        case .csv:
            while index < end, bytes[index] != UInt8(ascii: ",") { index += 1 }
            return index < end ? index : nil
        case .dat:
            while index + 1 < end {
                if bytes[index] == UInt8(ascii: ":"), bytes[index + 1] == UInt8(ascii: ":") { return index }
                index += 1
            }
            return nil
        }
    }

    /// Reads a line field by field, quotes and all, or says what is wrong with it.
    private func parseSlowly(
        _ bytes: [UInt8],
        _ line: Range<Int>,
        into row: inout EventRow
    ) throws(DatasetError) -> Bool {
        let fields = try format.fields(of: bytes[line])
        guard fields.count == Self.columns.count else {
            throw format.wrongCount(fields.count, columns: Self.columns, line: bytes[line])
        }
        guard !fields[0].isEmpty else { throw DatasetError(field: "userId", value: "", reason: "is empty") }
        guard !fields[1].isEmpty else { throw DatasetError(field: "movieId", value: "", reason: "is empty") }
        guard let rating = Float(fields[2]), (0...10).contains(rating) else {
            throw DatasetError(field: "rating", value: fields[2], reason: "is not a number from 0 to 10")
        }
        guard let time = Int64(fields[3]), Self.times.contains(time) else {
            throw DatasetError(
                field: "timestamp",
                value: fields[3],
                reason: "is not a time in whole seconds since 1970"
            )
        }
        row.user.append(contentsOf: fields[0].utf8)
        row.item.append(contentsOf: fields[1].utf8)
        row.rating = rating
        row.time = time * 1_000
        return true
    }
}
