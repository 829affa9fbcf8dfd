import Identifiers
internal import InputFiles
internal import Messages

/// Titles and categories of items, read from a file with a JSON object for each item.
///
/// Only items that occur in events are kept, so that the metadata of millions of products take no memory. The first
/// entry of an item counts: Amazon's 2018 set has some twice.
struct ItemMetadata {
    /// What the fields are called; of several names the first that is there and not empty counts.
    struct Fields: Sendable {
        var id: [[UInt8]]
        var title: [[UInt8]]
        var categories: [[UInt8]]

        init(id: [String], title: [String], categories: [String]) {
            self.id = id.map { Array($0.utf8) }
            self.title = title.map { Array($0.utf8) }
            self.categories = categories.map { Array($0.utf8) }
        }

        /// Amazon: 2023, 2014 and 2018.
        static let amazon = Fields(
            id: ["parent_asin", "asin"],
            title: ["title"],
            categories: ["categories", "category", "main_category", "main_cat"]
        )
        /// Google Local.
        static let googleLocal = Fields(id: ["gmap_id"], title: ["name"], categories: ["category"])
        /// `items.jsonl` beside a file of sequences.
        static let items = Fields(id: ["id"], title: ["title", "name"], categories: ["categories", "category"])
    }

    /// The title of each item, by its number; nil when there is none.
    private(set) var titles: [String?]
    /// The categories of each item.
    private(set) var categories: [[String]]
    /// How many bad lines were skipped.
    private(set) var skippedLines = 0

    /// No metadata for so many items.
    init(count: Int) {
        titles = Array(repeating: nil, count: count)
        categories = Array(repeating: [], count: count)
    }

    /// Reads the metadata of the items that occur.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - fields: what its fields are called.
    ///   - items: the items' numbers.
    ///   - occurs: which of them are wanted.
    ///   - skipsBadLines: whether a bad line is left out and counted.
    ///   - progress: called now and then with the bytes read of the file on disk.
    /// - Throws: `DatasetError` naming file, line, field and value.
    init(
        _ path: String,
        _ fields: Fields,
        items: IDTable,
        occurs: [Bool],
        skipsBadLines: Bool,
        progress: (Int) -> Void
    ) throws(DatasetError) {
        self.init(count: items.count)
        var lines = try LineReader(path)
        var isKnown = occurs.map { !$0 }
        var entry = Entry()
        while let line = try lines.next() {
            if line.isEmpty { continue }
            if lines.position.line & 0xFFF == 0 { progress(lines.bytesRead) }
            do throws(DatasetError) {
                try entry.read(lines.bytes, line, fields)
                guard let number = items.knownNumber(of: entry.id, 0..<entry.id.count), !isKnown[number] else {
                    continue
                }
                titles[number] = try entry.checkedTitle()
                categories[number] = try entry.checkedCategories()
                isKnown[number] = true
            } catch {
                guard !skipsBadLines else {
                    skippedLines += 1
                    continue
                }
                var error = error
                error.file = path
                error.line = lines.position.line
                throw error
            }
        }
        leaveOutWhatNearlyAllHave(occurs)
    }

    /// A category that nearly every item has, as the root of a tree of categories is, tells no item from another.
    private mutating func leaveOutWhatNearlyAllHave(_ occurs: [Bool]) {
        let described = categories.indices.filter { occurs[$0] && !categories[$0].isEmpty }
        var counts: [TextKey: Int] = [:]
        for item in described {
            for category in categories[item] { counts[TextKey(category), default: 0] += 1 }
        }
        let common = counts.filter { $0.value * 20 > described.count * 19 }
        // Where there is no other, it is at least a name for all of them.
        guard described.count > 1, common.count < counts.count else { return }
        for item in described { categories[item].removeAll { common[TextKey($0)] != nil } }
    }
}

/// What a line of metadata says; filled again and again.
private struct Entry {
    var id: [UInt8] = []
    private var title: [UInt8] = []
    private var categories: [[UInt8]] = []
    private var titleRank = Int.max
    private var categoriesRank = Int.max

    mutating func read(_ bytes: [UInt8], _ line: Range<Int>, _ fields: ItemMetadata.Fields) throws(DatasetError) {
        id.removeAll(keepingCapacity: true)
        title.removeAll(keepingCapacity: true)
        categories.removeAll(keepingCapacity: true)
        (titleRank, categoriesRank) = (.max, .max)
        var idRank = Int.max
        var scanner = ValueScanner(bytes, line, .syntax(of: bytes, line))
        try scanner.beginObject()
        var isFirst = true
        while let field = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            if let rank = scanner.name(field, among: fields.id), rank < idRank {
                id.removeAll(keepingCapacity: true)
                try scanner.identifier("\(String(decoding: fields.id[rank], as: UTF8.self))", into: &id)
                idRank = rank
            } else if let rank = scanner.name(field, among: fields.title), rank < titleRank {
                try readTitle(&scanner, rank, String(decoding: fields.title[rank], as: UTF8.self))
            } else if let rank = scanner.name(field, among: fields.categories), rank < categoriesRank {
                try readCategories(&scanner, rank)
            } else {
                try scanner.skipValue()
            }
        }
        try scanner.finish()
        guard !id.isEmpty else {
            throw DatasetError(
                field: String(decoding: fields.id[0], as: UTF8.self),
                reason: "is missing: expected the item's id"
            )
        }
    }

    private mutating func readTitle(_ scanner: inout ValueScanner, _ rank: Int, _ name: String) throws(DatasetError) {
        if scanner.takeNull() { return }
        guard scanner.isAtString() else {
            throw DatasetError(field: name, value: try scanner.valueText(), reason: "is not a string")
        }
        var text: [UInt8] = []
        try scanner.string(into: &text)
        guard !text.isEmpty else { return }
        title = text
        titleRank = rank
    }

    /// A string, an array of them, or an array of paths, which are arrays of them.
    private mutating func readCategories(_ scanner: inout ValueScanner, _ rank: Int) throws(DatasetError) {
        var found: [[UInt8]] = []
        try readNames(&scanner, depth: 0, into: &found)
        guard !found.isEmpty else { return }
        categories = found
        categoriesRank = rank
    }

    private func readNames(
        _ scanner: inout ValueScanner,
        depth: Int,
        into names: inout [[UInt8]]
    ) throws(DatasetError) {
        if scanner.takeNull() { return }
        if scanner.isAtString() {
            var name: [UInt8] = []
            try scanner.string(into: &name)
            if !name.isEmpty, !names.contains(name) { names.append(name) }
            return
        }
        guard scanner.peek() == UInt8(ascii: "["), depth < 2 else {
            throw DatasetError(
                field: "categories",
                value: try scanner.valueText(),
                reason: "is neither a string nor an array of strings"
            )
        }
        try scanner.beginArray()
        var isFirst = true
        while try scanner.nextValue(isFirst: isFirst) {
            isFirst = false
            try readNames(&scanner, depth: depth + 1, into: &names)
        }
    }

    func checkedTitle() throws(DatasetError) -> String? {
        let text = try Self.text(title, "title", limit: Limits.titleByteCount)
        return text.isEmpty ? nil : text
    }

    func checkedCategories() throws(DatasetError) -> [String] {
        var names: [String] = []
        for category in categories {
            let name = try Self.text(category, "categories", limit: Limits.nameByteCount)
            if !name.isEmpty { names.append(name) }
        }
        return names
    }

    private static func text(_ bytes: [UInt8], _ field: String, limit: Int) throws(DatasetError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw DatasetError(field: field, value: String(decoding: bytes, as: UTF8.self), reason: "is not UTF-8")
        }
        guard bytes.count <= limit else {
            throw DatasetError(
                field: field,
                value: text,
                reason: "has \(bytes.count) bytes, and may have \(limit); shorten it, or skip bad lines"
            )
        }
        // Scraped names have line ends and spaces around them, and titles are compared word by word.
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
