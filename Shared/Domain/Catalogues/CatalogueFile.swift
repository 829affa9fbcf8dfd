internal import Bytes
internal import JSON
internal import Messages

/// A `catalogue.json`: `{"items": [{"id": ..., "title": ..., "categories": [...]}]}`, or the array alone.
///
/// People write such files too, so the reader is lenient. An id may be a number: its digits are the id. An item without
/// a title, or with `null` or white space alone, uses its id as title. Categories are a string, an array of strings, or an array of paths.
/// Other fields are ignored.
public struct CatalogueFile: Sendable {
    /// The items.
    public let catalogue: Catalogue
    /// Which items have no title and use their id instead.
    public let isUntitled: [Bool]
    /// Ids that were written as numbers.
    public let numericIDs: Int
    /// Titles with more bytes than a title may have; the item uses its id instead.
    public let longTitles: Int
    /// Categories with more bytes than a category may have, left out.
    public let longCategories: Int
    /// Categories past the number that an item may have, left out.
    public let manyCategories: Int

    /// Reads the bytes of a file.
    ///
    /// - Parameters:
    ///   - bytes: all of the file.
    ///   - path: what an error calls it.
    /// - Throws: `CatalogueError` naming the file, the item, the field and the value.
    public init(json bytes: [UInt8], file path: String) throws(CatalogueError) {
        var reader = Reader(bytes)
        do throws(CatalogueError) {
            do throws(JSONError) {
                try reader.read()
            } catch {
                throw CatalogueError(error)
            }
            catalogue = try Catalogue(items: reader.items)
        } catch {
            var error = error
            error.file = path
            throw error
        }
        isUntitled = reader.isUntitled
        (numericIDs, longTitles) = (reader.numericIDs, reader.longTitles)
        (longCategories, manyCategories) = (reader.longCategories, reader.manyCategories)
    }
}

/// Reads the items one by one, and counts what it leaves out of them.
private struct Reader {
    private(set) var items: [CatalogueItem] = []
    private(set) var isUntitled: [Bool] = []
    private(set) var numericIDs = 0
    private(set) var longTitles = 0
    private(set) var longCategories = 0
    private(set) var manyCategories = 0
    private var ids: Set<ItemID> = []
    private var scanner: JSONScanner

    /// Only this many names are examined; the rest are only counted, so that no item takes long.
    private static let maximumNameCount = 256
    private static let topNames = [Array("items".utf8)]
    private static let itemNames = ["id", "title", "categories"].map { Array($0.utf8) }
    private static let form = #"{"items": [{"id": ..., "title": ...}]}"#

    init(_ bytes: [UInt8]) { scanner = JSONScanner(bytes) }

    mutating func read() throws(JSONError) {
        if scanner.peek() == UInt8(ascii: "[") { try readItems() } else { try readObject() }
        try scanner.finish()
    }

    private mutating func readObject() throws(JSONError) {
        guard scanner.peek() == UInt8(ascii: "{") else {
            throw JSONError(reason: "is no catalogue: expected \(Self.form)")
        }
        try scanner.beginObject()
        var (isFirst, hasItems) = (true, false)
        while let name = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            guard scanner.name(name, among: Self.topNames) != nil else {
                try scanner.skipValue()
                continue
            }
            guard !hasItems, scanner.peek() == UInt8(ascii: "[") else {
                let reason = hasItems ? "is given twice" : "is not an array of items"
                throw JSONError(field: "items", value: try scanner.valueText(), reason: reason)
            }
            hasItems = true
            try readItems()
        }
        guard hasItems else { throw JSONError(field: "items", reason: "is missing: expected \(Self.form)") }
    }

    private mutating func readItems() throws(JSONError) {
        try scanner.beginArray()
        while try scanner.nextValue(isFirst: items.isEmpty) {
            do throws(JSONError) {
                try readItem()
            } catch {
                throw error.inField("items[\(items.count)]")
            }
        }
    }

    private mutating func readItem() throws(JSONError) {
        guard scanner.peek() == UInt8(ascii: "{") else {
            throw JSONError(value: try scanner.valueText(), reason: "is not an object with id and title")
        }
        var id: String?
        var title: String?
        var categories = Names()
        var seen = 0
        try scanner.beginObject()
        var isFirst = true
        while let field = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            guard let number = scanner.name(field, among: Self.itemNames) else {
                try scanner.skipValue()
                continue
            }
            guard seen & 1 << number == 0 else {
                throw JSONError(field: scanner.text(field), reason: "is given twice in one object; keep one")
            }
            seen |= 1 << number
            switch number {
            case 0: id = try readID()
            case 1: title = try readTitle()
            default:
                try scanner.readNames(of: "categories") { scanner throws(JSONError) in
                    categories.add(try scanner.string())
                }
            }
        }
        guard let id else { throw JSONError(field: "id", reason: "is missing: expected the item's id") }
        guard ids.insert(ItemID(id)).inserted else {
            let reason = "is given to an item before it too; ids are compared by their bytes"
            throw JSONError(field: "id", value: id, reason: reason)
        }
        if let text = title { title = kept(title: text) }
        items.append(CatalogueItem(id: ItemID(id), title: title ?? id, categories: kept(categories)))
        isUntitled.append(title == nil)
    }

    /// An id that events can name, under the event ingestor's rules.
    private mutating func readID() throws(JSONError) -> String {
        if !scanner.isAtString() { numericIDs += 1 }
        let id: String
        do throws(JSONError) { id = try scanner.identifier() } catch { throw error.inField("id") }
        guard !id.isEmpty else { throw JSONError(field: "id", value: "", reason: "is empty") }
        guard id.utf8.count <= Limits.identifierByteCount else {
            let reason = "has \(id.utf8.count) bytes, and an id may have \(Limits.identifierByteCount)"
            throw JSONError(field: "id", value: id, reason: reason)
        }
        guard !id.utf8.contains(0) else {
            throw JSONError(field: "id", value: id, reason: "has a NUL character; an id has none")
        }
        return id
    }

    private mutating func readTitle() throws(JSONError) -> String? {
        if scanner.takeNull() { return nil }
        guard scanner.isAtString() else {
            throw JSONError(field: "title", value: try scanner.valueText(), reason: "is not a string")
        }
        return try scanner.string()
    }

    /// Names as written, without duplicates.
    private struct Names {
        var list: [String] = []
        /// How many names were past the limit and not examined.
        var further = 0

        mutating func add(_ name: String) {
            if name.isEmpty { return }
            if list.count == Reader.maximumNameCount {
                further += 1
            } else if !Reader.holds(list, name) {
                list.append(name)
            }
        }
    }

    // MARK: - What is kept

    /// A title; nil when there is none but white space, or it is too long to be one.
    private mutating func kept(title: String) -> String? {
        let text = Self.withoutLineBreaks(title)
        guard text.utf8.count <= Limits.titleByteCount else {
            longTitles += 1
            return nil
        }
        return text.allSatisfy(\.isWhitespace) ? nil : text
    }

    /// Categories, each once, without those that are too long to be one.
    private mutating func kept(_ names: Names) -> [String] {
        var categories: [String] = []
        manyCategories += names.further
        for name in names.list {
            let category = Self.withoutLineBreaks(name)
            guard category.utf8.count <= Limits.nameByteCount else {
                longCategories += 1
                continue
            }
            if category.isEmpty || Self.holds(categories, category) { continue }
            guard categories.count < Limits.categoryCount else {
                manyCategories += 1
                continue
            }
            categories.append(category)
        }
        return categories
    }

    /// Compares bytes, as for all names; there are few, so a linear search will do.
    private static func holds(_ names: [String], _ name: String) -> Bool {
        names.contains { $0.utf8.elementsEqual(name.utf8) }
    }

    /// The text unchanged, except for control characters with which a title cannot be displayed.
    private static func withoutLineBreaks(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 }) else { return text }
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
