/// Reads lines with one review as a JSON object: Amazon's of 2014, 2018 and 2023, and Google Local's.
///
/// The text that users wrote was scraped from web pages, like the items' titles: its entities are decoded too.
///
/// - Source: jmcauley.ucsd.edu/data/amazon (2014), nijianmo.github.io/amazon (2018), amazon-reviews-2023.github.io and
///   the page of the Google Local data (2021).
struct ReviewParser: LineParser {
    /// The field names of a data set.
    struct Fields: Sendable {
        var user: String
        var item: String
        var rating: String
        var time: String
        /// The unit in which `time` is published.
        var timeUnit: TimeReader.Unit
        var summary: String?
        var text: String

        /// Amazon, 2014 and 2018.
        static let amazon2014 = Fields(
            user: "reviewerID",
            item: "asin",
            rating: "overall",
            time: "unixReviewTime",
            timeUnit: .seconds,
            summary: "summary",
            text: "reviewText"
        )
        /// Amazon, 2023: the metadata refer to `parent_asin`.
        static let amazon2023 = Fields(
            user: "user_id",
            item: "parent_asin",
            rating: "rating",
            time: "timestamp",
            timeUnit: .milliseconds,
            summary: "title",
            text: "text"
        )
        /// Google Local, 2021.
        static let googleLocal = Fields(
            user: "user_id",
            item: "gmap_id",
            rating: "rating",
            time: "time",
            timeUnit: .milliseconds,
            summary: nil,
            text: "text"
        )
    }

    let eventType: String? = "review"
    let recordDelimiter: UInt8? = nil
    private let fields: Fields
    private var times: TimeReader
    private var numericIDs = 0
    private var entities = 0
    /// In the order of `Field`.
    private let names: [[UInt8]]
    private let readsText: Bool
    private var summary: [UInt8] = []

    private enum Field: Int {
        case user, item, rating, time, text, summary
    }

    /// Makes a parser for the lines of one data set, which skips the review's text, and its summary, unless it is wanted.
    init(_ fields: Fields, readsText: Bool, readsSummary: Bool) {
        self.fields = fields
        self.readsText = readsText
        times = TimeReader(fields.timeUnit)
        var names = [fields.user, fields.item, fields.rating, fields.time]
        if readsText { names += [fields.text] + (readsSummary ? fields.summary.map { [$0] } ?? [] : []) }
        self.names = names.map { Array($0.utf8) }
    }

    var counts: ReadingCounts {
        var counts = times.counts
        counts[.numericIDs] = numericIDs
        counts[.htmlEntities] = entities
        return counts
    }

    mutating func parse(_ bytes: [UInt8], _ line: Range<Int>, into row: inout EventRow) throws(DatasetError) -> Bool {
        summary.removeAll(keepingCapacity: true)
        var hasTime = false
        var seen = 0
        var scanner = ValueScanner(bytes, line, .syntax(of: bytes, line))
        try scanner.beginObject()
        var isFirst = true
        while let name = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            let field = scanner.name(name, among: names).flatMap(Field.init)
            if let field {
                guard seen & 1 << field.rawValue == 0 else { throw .givenTwice(scanner.text(name)) }
                seen |= 1 << field.rawValue
            }
            switch field {
            case .user:
                row.user.removeAll(keepingCapacity: true)
                if try scanner.identifier(fields.user, into: &row.user) { numericIDs += 1 }
            case .item:
                row.item.removeAll(keepingCapacity: true)
                if try scanner.identifier(fields.item, into: &row.item) { numericIDs += 1 }
            case .rating: row.rating = try rating(&scanner)
            case .time:
                row.time = try time(&scanner)
                hasTime = true
            case .text: try text(&scanner, fields.text, into: &row.text)
            case .summary: try text(&scanner, fields.summary ?? "", into: &summary)
            case nil: try scanner.skipValue()
            }
        }
        try scanner.finish()
        guard !row.user.isEmpty else { throw DatasetError(field: fields.user, reason: "is missing: expected a string") }
        guard !row.item.isEmpty else { throw DatasetError(field: fields.item, reason: "is missing: expected a string") }
        guard hasTime else { throw DatasetError(field: fields.time, reason: "is missing: expected a whole number") }
        if readsText { entities += HTMLEntities.decode(&row.text) + HTMLEntities.decode(&summary) }
        if !summary.isEmpty { row.text = summary + (row.text.isEmpty ? [] : [0x0A] + row.text) }
        return true
    }

    /// A missing rating is not an error: some businesses are reviewed without one.
    private func rating(_ scanner: inout ValueScanner) throws(DatasetError) -> Float {
        if scanner.takeNull() { return .nan }
        let start = scanner
        if let number = try? scanner.number(), let rating = scanner.decimal(number), (0...10).contains(rating) {
            return rating
        }
        scanner = start
        throw DatasetError(
            field: fields.rating,
            value: try scanner.valueText(),
            reason: "is not a number from 0 to 10"
        )
    }

    private mutating func time(_ scanner: inout ValueScanner) throws(DatasetError) -> Int64 {
        let start = scanner
        if let number = try? scanner.number(), let value = scanner.integer(number),
            let time = times.milliseconds(value)
        {
            return time
        }
        scanner = start
        let unit = fields.timeUnit == .seconds ? "seconds" : "milliseconds"
        let value = try scanner.valueText()
        throw DatasetError(
            field: fields.time,
            value: value,
            reason: Int64(value).flatMap(times.refusal) ?? "is not a time in \(unit) since 1970, after July 1979"
        )
    }

    private func text(_ scanner: inout ValueScanner, _ name: String, into text: inout [UInt8]) throws(DatasetError) {
        text.removeAll(keepingCapacity: true)
        if scanner.takeNull() { return }
        guard scanner.isAtString() else {
            throw DatasetError(field: name, value: try scanner.valueText(), reason: "is not a string")
        }
        try scanner.string(into: &text)
    }
}
