internal import Bytes
internal import JSON

/// Counts of what was left out, decoded or assumed while a data set was read, so that nobody has to guess.
public struct ReadingCounts: Sendable, Equatable, Codable, CustomStringConvertible {
    /// What is counted.
    public enum Counter: Int, CaseIterable, Sendable {
        /// Lines of events and items that could not be read and were skipped.
        case badLines
        /// Events skipped because their item is not in the complete catalogue.
        case unknownItems
        /// Duplicate events that were kept: the same user, item and time as an earlier event.
        case duplicatesKept
        /// Duplicate events that were dropped.
        case duplicatesDropped
        /// Items described more than once; the first description counts.
        case itemsGivenTwice
        /// Titles above the length limit in bytes; the item is called by its id.
        case longTitles
        /// Categories above the length limit in bytes, left out.
        case longCategories
        /// Categories above the number that an item may have, left out.
        case manyCategories
        /// HTML entities decoded in titles, categories and reviews.
        case htmlEntities
        /// Ids written as numbers; their digits are the id.
        case numericIDs
        /// Times that are seconds judging by their size, where milliseconds were expected.
        case timesInSeconds
        /// Times that are milliseconds judging by their size, where seconds were expected.
        case timesInMilliseconds
        /// Times that are microseconds judging by their size.
        case timesInMicroseconds
        /// Times that are nanoseconds judging by their size.
        case timesInNanoseconds
        /// Times too small for any date, such as ranks; read as seconds.
        case timesOfNoEra
        /// Dates without a time zone, read as UTC.
        case timesWithoutZone
        /// Events without a time, which get one from their position in the file.
        case timesFromOrder
        /// Table records with a line break inside quotes.
        case recordsOfSeveralLines
        /// Numbers with a decimal comma.
        case decimalCommas
        /// Files next to the data that could hold events but are not read.
        case filesPassedOver
        /// Events whose user wrote nothing, where reviews are kept.
        case withoutReview
        /// Reviews above the length that is kept, cut there.
        case reviewsCut

        /// The name in reports and prepared folders, in snake case.
        public var name: String {
            switch self {
            case .badLines: "bad_lines"
            case .unknownItems: "events_of_unknown_items"
            case .duplicatesKept: "duplicate_events_kept"
            case .duplicatesDropped: "duplicate_events_dropped"
            case .itemsGivenTwice: "items_given_twice"
            case .longTitles: "titles_too_long"
            case .longCategories: "categories_too_long"
            case .manyCategories: "categories_too_many"
            case .htmlEntities: "html_entities_decoded"
            case .numericIDs: "ids_that_are_numbers"
            case .timesInSeconds: "times_in_seconds"
            case .timesInMilliseconds: "times_in_milliseconds"
            case .timesInMicroseconds: "times_in_microseconds"
            case .timesInNanoseconds: "times_in_nanoseconds"
            case .timesOfNoEra: "times_before_1979"
            case .timesWithoutZone: "times_without_zone"
            case .timesFromOrder: "events_without_time"
            case .recordsOfSeveralLines: "records_of_several_lines"
            case .decimalCommas: "decimal_commas"
            case .filesPassedOver: "files_passed_over"
            case .withoutReview: "events_without_review"
            case .reviewsCut: "reviews_cut"
            }
        }

        /// The meaning, in words for users.
        public var explanation: String {
            switch self {
            case .badLines: "lines left out: they cannot be read"
            case .unknownItems: "events left out: the catalogue does not have their item"
            case .duplicatesKept: "events of the same user, item and time as an earlier one, kept (--drop-duplicates)"
            case .duplicatesDropped: "events of the same user, item and time as an earlier one, left out"
            case .itemsGivenTwice: "items described again: the first description counts"
            case .longTitles: "titles left out: too long; the item is called by its id"
            case .longCategories: "categories left out: too long"
            case .manyCategories: "categories left out: too many of one item"
            case .htmlEntities: "HTML entities decoded in titles, categories and reviews"
            case .numericIDs: "ids written as numbers, read as their digits"
            case .timesInSeconds: "times read as seconds by their size"
            case .timesInMilliseconds: "times read as milliseconds by their size"
            case .timesInMicroseconds: "times read as microseconds by their size"
            case .timesInNanoseconds: "times read as nanoseconds by their size"
            case .timesOfNoEra: "times before July 1979, as ranks are, read as seconds"
            case .timesWithoutZone: "dates without a zone, read as UTC"
            case .timesFromOrder: "events without a time, kept in the file's order"
            case .recordsOfSeveralLines: "records with a line break in quotes"
            case .decimalCommas: "numbers with a decimal comma"
            case .filesPassedOver: "files beside the events passed over"
            case .withoutReview: "events without the text of a review"
            case .reviewsCut: "reviews cut at their first --review-bytes"
            }
        }
    }

    private var values = [Int](repeating: 0, count: Counter.allCases.count)
    /// Names of event fields that are not read, in order; at most `UnknownFields.maximumCount`.
    public private(set) var unknownFields: [String] = []

    /// Makes counts of zero.
    public init() {}

    /// How often it happened.
    public subscript(counter: Counter) -> Int {
        get { values[counter.rawValue] }
        set { values[counter.rawValue] = newValue }
    }

    /// Records fields that are ignored because their names are unknown.
    public mutating func add(unknownFields names: some Sequence<String>) {
        var known = Set(unknownFields.map { TextKey($0) })
        for name in names where unknownFields.count < UnknownFields.maximumCount && known.insert(TextKey(name)).inserted
        {
            unknownFields.append(name)
        }
        unknownFields.sort { TextKey($0) < TextKey($1) }
    }

    /// The counters that are not zero, in a fixed order.
    public var happened: [(counter: Counter, count: Int)] {
        Counter.allCases.compactMap { self[$0] == 0 ? nil : ($0, self[$0]) }
    }

    /// Adds the counts of another reader.
    public static func += (counts: inout Self, others: Self) {
        for counter in Counter.allCases { counts[counter] &+= others[counter] }
        counts.add(unknownFields: others.unknownFields)
    }

    /// A table with one line per nonzero counter, to follow the line in which it is printed.
    public var description: String {
        guard !happened.isEmpty || !unknownFields.isEmpty else { return "nothing was left out, decoded or assumed" }
        var lines = happened.map { (count: "\($0.count)", text: $0.counter.explanation) }
        if !unknownFields.isEmpty {
            let names = unknownFields.map { ControlCharacters.escaped($0) }.joined(separator: ", ")
            lines.append((count: "\(unknownFields.count)", text: "fields passed over that no event has: \(names)"))
        }
        let width = lines.map(\.count.count).max() ?? 0
        return lines.map { line in
            "\n  " + String(repeating: " ", count: width - line.count.count) + line.count + "  " + line.text
        }.joined()
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        static let unknownFields = Name("unknown_fields")
        init(_ name: String) { stringValue = name }
        init(_ counter: Counter) { stringValue = counter.name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Decodes counts; unknown counters are ignored.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        for counter in Counter.allCases {
            self[counter] = try container.decodeIfPresent(Int.self, forKey: Name(counter)) ?? 0
        }
        add(unknownFields: try container.decodeIfPresent([String].self, forKey: .unknownFields) ?? [])
    }

    /// Encodes the counters that are not zero.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        for (counter, count) in happened { try container.encode(count, forKey: Name(counter)) }
        if !unknownFields.isEmpty { try container.encode(unknownFields, forKey: .unknownFields) }
    }
}
