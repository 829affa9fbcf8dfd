internal import Bytes
internal import JSON

/// What was left out, decoded or assumed while a data set was read, so that nobody has to guess it.
public struct ReadingCounts: Sendable, Equatable, Codable, CustomStringConvertible {
    /// What is counted.
    public enum Counter: Int, CaseIterable, Sendable {
        /// Lines that could not be read and were left out, of events and of items.
        case badLines
        /// Events of items that a complete catalogue does not have, left out.
        case unknownItems
        /// Events that say again what an earlier one says: the same user, item and time.
        case duplicatesKept
        /// The same, where they were left out.
        case duplicatesDropped
        /// Items that are described again; the first description counts.
        case itemsGivenTwice
        /// Titles with more bytes than a title may have; the item is called by its id.
        case longTitles
        /// Categories with more bytes than a category may have, left out.
        case longCategories
        /// Categories past the number that an item may have, left out.
        case manyCategories
        /// HTML entities in titles, categories and reviews that were decoded.
        case htmlEntities
        /// Ids written as numbers; their digits are the id.
        case numericIDs
        /// Times that are seconds by their size, where milliseconds were expected.
        case timesInSeconds
        /// Times that are milliseconds by their size, where seconds were expected.
        case timesInMilliseconds
        /// Times that are microseconds by their size.
        case timesInMicroseconds
        /// Times that are nanoseconds by their size.
        case timesInNanoseconds
        /// Times too small for any date, such as ranks; read as seconds.
        case timesOfNoEra
        /// Dates without a zone, read as UTC.
        case timesWithoutZone
        /// Events without a time, which have that of their place in the file.
        case timesFromOrder
        /// Records of a table with a line break in quotes.
        case recordsOfSeveralLines
        /// Numbers with a decimal comma.
        case decimalCommas
        /// Files beside the data that might have held events, and are not read.
        case filesPassedOver

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
            }
        }

        /// What it means, for people.
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
            }
        }
    }

    private var values = [Int](repeating: 0, count: Counter.allCases.count)
    /// Names of fields that events have and nobody reads, in order; at most `UnknownFields.maximumCount`.
    public private(set) var unknownFields: [String] = []

    /// Nothing counted yet.
    public init() {}

    /// How often it happened.
    public subscript(counter: Counter) -> Int {
        get { values[counter.rawValue] }
        set { values[counter.rawValue] = newValue }
    }

    /// Notes fields that are passed over because nothing is known by their names.
    public mutating func add(unknownFields names: some Sequence<String>) {
        var known = Set(unknownFields.map { TextKey($0) })
        for name in names where unknownFields.count < UnknownFields.maximumCount && known.insert(TextKey(name)).inserted
        {
            unknownFields.append(name)
        }
        unknownFields.sort { TextKey($0) < TextKey($1) }
    }

    /// What happened at all, in a fixed order.
    public var happened: [(counter: Counter, count: Int)] {
        Counter.allCases.compactMap { self[$0] == 0 ? nil : ($0, self[$0]) }
    }

    /// Adds what another reader counted.
    public static func += (counts: inout Self, others: Self) {
        for counter in Counter.allCases { counts[counter] &+= others[counter] }
        counts.add(unknownFields: others.unknownFields)
    }

    /// A table with a line for each thing that happened, below the line in which it is printed.
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

    /// Reads the counts that were written; one that is not known here is passed over.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        for counter in Counter.allCases {
            self[counter] = try container.decodeIfPresent(Int.self, forKey: Name(counter)) ?? 0
        }
        add(unknownFields: try container.decodeIfPresent([String].self, forKey: .unknownFields) ?? [])
    }

    /// Writes what happened.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        for (counter, count) in happened { try container.encode(count, forKey: Name(counter)) }
        if !unknownFields.isEmpty { try container.encode(unknownFields, forKey: .unknownFields) }
    }
}
