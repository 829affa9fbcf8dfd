import Identifiers

/// The forms of data sets that can be read.
public enum DatasetFormat: String, CaseIterable, Sendable {
    /// MovieLens: `ratings.dat` and `movies.dat`, or `ratings.csv` and `movies.csv`.
    case movieLens = "movielens"
    /// Amazon reviews and metadata of 2014, 2018 and 2023: a JSON object in each line.
    case amazon
    /// Google Local reviews and metadata of 2021: a JSON object in each line.
    case googleLocal = "google-local"
    /// Lines of `user item item ...`, with `items.jsonl` beside it where there are titles.
    case sequences
    /// Our own events and items: `events.ndjson` and `catalogue.json`.
    case ndjson

    /// What is looked for, for the error where nothing is found.
    static let expectation = """
        MovieLens (ratings.dat or ratings.csv, with movies.dat or movies.csv), Amazon reviews (JSON lines with \
        reviewerID and asin, or user_id and parent_asin), Google Local reviews (JSON lines with user_id and gmap_id), \
        sequences (a .txt file of lines "user item item ..."), or our own events.ndjson with catalogue.json; \
        each file also as .gz
        """
}

/// What a file holds, as far as its first lines say.
enum FileKind: Equatable {
    case movieLensRatings
    case amazon2014Reviews
    case amazon2023Reviews
    case googleLocalReviews
    case sequences
    case events
    case amazonMetadata
    case googleLocalMetadata
    case items
    case unknown

    /// The format of a file of events; nil for any other file.
    var format: DatasetFormat? {
        switch self {
        case .movieLensRatings: .movieLens
        case .amazon2014Reviews, .amazon2023Reviews: .amazon
        case .googleLocalReviews: .googleLocal
        case .sequences: .sequences
        case .events: .ndjson
        case .amazonMetadata, .googleLocalMetadata, .items, .unknown: nil
        }
    }

    /// The kind of file that describes the items of such a file of events.
    var metadata: FileKind? {
        switch self {
        case .amazon2014Reviews, .amazon2023Reviews: .amazonMetadata
        case .googleLocalReviews: .googleLocalMetadata
        case .sequences: .items
        default: nil
        }
    }

    /// So many lines are looked at, as the first ones may be damaged.
    private static let lineCount = 20

    /// Looks at a file: its first line that says what it is decides.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - wanted: the format that was asked for; a line of it decides before one of another.
    /// - Throws: `DatasetError` when it cannot be read.
    init(ofFile path: String, wanted: DatasetFormat? = nil) throws(DatasetError) {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
        if plain.hasSuffix(".dat") || plain.hasSuffix(".csv") {
            self = plain.hasPrefix("movies") ? .unknown : .movieLensRatings
            return
        }
        var lines = try LineReader(path)
        var (found, looked) = (FileKind.unknown, 0)
        while looked < Self.lineCount, let line = try lines.next() {
            if line.isEmpty { continue }
            // Words make sequences in a first line only: some line of any text has two.
            let kind = Self.kind(lines.bytes, line, isText: looked == 0 && plain.hasSuffix(".txt"))
            looked += 1
            if found == .unknown { found = kind }
            if kind != .unknown, wanted == nil || kind.format == wanted {
                self = kind
                return
            }
        }
        self = found
    }

    private static func kind(_ bytes: [UInt8], _ line: Range<Int>, isText: Bool) -> FileKind {
        guard let fields = try? fieldNames(bytes, line) else {
            let words = bytes[line].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            let isObject = bytes[line.lowerBound] == UInt8(ascii: "{")
            return isText && !isObject && words.count >= 2 ? .sequences : .unknown
        }
        func has(_ names: TextKey...) -> Bool { names.allSatisfy(fields.contains) }
        if has("reviewerID", "asin") { return .amazon2014Reviews }
        if has("user_id", "parent_asin") { return .amazon2023Reviews }
        if has("user_id", "gmap_id") { return .googleLocalReviews }
        if has("user", "item") { return .events }
        if has("parent_asin") || has("asin") { return .amazonMetadata }
        if has("gmap_id") { return .googleLocalMetadata }
        return has("id") ? .items : .unknown
    }

    private static func fieldNames(_ bytes: [UInt8], _ line: Range<Int>) throws(DatasetError) -> Set<TextKey> {
        var names: Set<TextKey> = []
        var scanner = ValueScanner(bytes, line, .syntax(of: bytes, line))
        try scanner.beginObject()
        while let name = try scanner.nextField(isFirst: names.isEmpty) {
            names.insert(TextKey(scanner.text(name)))
            try scanner.skipValue()
        }
        return names
    }
}
