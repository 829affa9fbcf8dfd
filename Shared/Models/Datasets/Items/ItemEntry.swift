/// What a line says about an item; reused for every line.
struct ItemEntry {
    var id: [UInt8] = []
    var title: [UInt8] = []
    var categories: [[UInt8]] = []
    /// The number of categories beyond those that are kept.
    var furtherCategories = 0
    /// Whether the id was written as a number.
    var isNumericID = false

    /// The maximum number of names to inspect; further ones are only counted, so that no line takes long.
    static let maximumNameCount = 256

    /// Clears the entry.
    mutating func clear() {
        id.removeAll(keepingCapacity: true)
        title.removeAll(keepingCapacity: true)
        categories.removeAll(keepingCapacity: true)
        furtherCategories = 0
        isNumericID = false
    }

    /// Adds a category unless it is already there.
    mutating func add(category: [UInt8]) {
        guard !category.isEmpty else { return }
        if categories.count == Self.maximumNameCount {
            furtherCategories += 1
        } else if !categories.contains(category) {
            categories.append(category)
        }
    }
}

/// The JSON names of an item's fields; of several names, the first one that is present and not empty counts.
struct ItemFields: Sendable, Equatable {
    var id: [[UInt8]]
    var title: [[UInt8]]
    var categories: [[UInt8]]
    /// Whether the text was scraped from web pages.
    var isHTML: Bool

    /// All of them.
    fileprivate let names: [[UInt8]]

    init(id: [String], title: [String], categories: [String], isHTML: Bool) {
        self.id = id.map { Array($0.utf8) }
        self.title = title.map { Array($0.utf8) }
        self.categories = categories.map { Array($0.utf8) }
        self.isHTML = isHTML
        names = self.id + self.title + self.categories
    }

    /// Amazon: 2023, 2014 and 2018.
    static let amazon = ItemFields(
        id: ["parent_asin", "asin"],
        title: ["title"],
        categories: ["categories", "category", "main_category", "main_cat"],
        isHTML: true
    )
    /// Google Local.
    static let googleLocal = ItemFields(id: ["gmap_id"], title: ["name"], categories: ["category"], isHTML: true)
    /// `items.jsonl` next to a file of sequences or a table; usually made from Amazon's metadata.
    static let items = ItemFields(
        id: ["id"],
        title: ["title", "name"],
        categories: ["categories", "category"],
        isHTML: true
    )
}

extension ItemEntry {
    /// Reads the only object on a line.
    ///
    /// - Throws: `DatasetError` without file and line.
    mutating func read(_ bytes: [UInt8], _ line: Range<Int>, _ fields: ItemFields) throws(DatasetError) {
        var scanner = ValueScanner(bytes, line, .syntax(of: bytes, line))
        try read(&scanner, fields)
        try scanner.finish()
    }

    /// Reads the object at the scanner's position.
    ///
    /// - Throws: `DatasetError` without file and line.
    mutating func read(_ scanner: inout ValueScanner, _ fields: ItemFields) throws(DatasetError) {
        clear()
        var (idRank, titleRank, categoriesRank) = (Int.max, Int.max, Int.max)
        var seen = 0
        try scanner.beginObject()
        var isFirst = true
        while let field = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            if let number = scanner.name(field, among: fields.names) {
                guard seen & 1 << number == 0 else { throw .givenTwice(scanner.text(field)) }
                seen |= 1 << number
            }
            if let rank = scanner.name(field, among: fields.id), rank < idRank {
                id.removeAll(keepingCapacity: true)
                isNumericID = try scanner.identifier(String(decoding: fields.id[rank], as: UTF8.self), into: &id)
                idRank = rank
            } else if let rank = scanner.name(field, among: fields.title), rank < titleRank {
                if try readTitle(&scanner, String(decoding: fields.title[rank], as: UTF8.self)) { titleRank = rank }
            } else if let rank = scanner.name(field, among: fields.categories), rank < categoriesRank {
                let name = String(decoding: fields.categories[rank], as: UTF8.self)
                let before = (categories, furtherCategories)
                (categories, furtherCategories) = ([], 0)
                try scanner.readNames(of: name) { add(category: $0) }
                if categories.isEmpty { (categories, furtherCategories) = before } else { categoriesRank = rank }
            } else {
                try scanner.skipValue()
            }
        }
        guard !id.isEmpty else {
            throw DatasetError(
                field: String(decoding: fields.id[0], as: UTF8.self),
                reason: "is missing: expected the item's id"
            )
        }
    }

    /// Whether there was a title.
    private mutating func readTitle(_ scanner: inout ValueScanner, _ name: String) throws(DatasetError) -> Bool {
        if scanner.takeNull() { return false }
        guard scanner.isAtString() else {
            throw DatasetError(field: name, value: try scanner.valueText(), reason: "is not a string")
        }
        var text: [UInt8] = []
        try scanner.string(into: &text)
        if !text.isEmpty { title = text }
        return !text.isEmpty
    }
}
