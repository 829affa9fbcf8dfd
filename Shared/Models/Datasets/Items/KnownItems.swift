internal import Foundation
internal import Bytes
internal import Catalogues
internal import Files
internal import Messages

/// All items of a data set with a complete catalogue, and the counts of what was left out.
struct KnownItems {
    let catalogue: Catalogue
    /// Which items have no title and are called by their id.
    private(set) var isUntitled: [Bool] = []
    private(set) var counts = ReadingCounts()

    /// Takes an existing catalogue.
    init(_ catalogue: Catalogue) {
        self.catalogue = catalogue
        isUntitled = Array(repeating: false, count: catalogue.count)
    }

    /// Reads all films of a file; if one occurs twice, the first counts.
    ///
    /// - Throws: `DatasetError` naming file, line, field and value.
    init(films path: String, skipsBadLines: Bool) throws(DatasetError) {
        var builder = KnownItemsBuilder(try TableLayout.itemForm(path).text)
        var lines = try ItemLines(path, try TableLayout.itemForm(path), skipsBadLines: skipsBadLines)
        try lines.forEach { (entry, _) throws(DatasetError) in
            if try !builder.add(entry) { builder.counts[.itemsGivenTwice] += 1 }
        }
        guard !builder.items.isEmpty else { throw DatasetError(file: path, reason: "holds no film") }
        builder.counts[.badLines] += lines.skippedLines
        builder.counts[.recordsOfSeveralLines] += lines.recordsOfSeveralLines
        catalogue = try DatasetError.naming { () throws(CatalogueError) in try Catalogue(items: builder.items) }
        isUntitled = builder.isUntitled
        counts = builder.finishedCounts
    }

    /// Reads `catalogue.json`: `{"items": [{"id": ..., "title": ..., "categories": [...]}]}`, or just the array.
    ///
    /// - Throws: `DatasetError` naming the file, the item, the field and the value.
    init(catalogue path: String) throws(DatasetError) {
        let bytes = try Self.content(of: path)
        let file = try DatasetError.naming { () throws(CatalogueError) in try CatalogueFile(json: bytes, file: path) }
        catalogue = file.catalogue
        isUntitled = file.isUntitled
        counts[.numericIDs] = file.numericIDs
        counts[.longTitles] = file.longTitles
        counts[.longCategories] = file.longCategories
        counts[.manyCategories] = file.manyCategories
    }

    /// No model has a larger catalogue than this.
    private static let maximumByteCount = 1 << 30

    private static func content(of path: String) throws(DatasetError) -> [UInt8] {
        var bytes: [UInt8] = []
        var count = 0
        do throws(InputFileError) {
            let file = try InputFile(path)
            bytes = [UInt8](repeating: 0, count: max(min(file.byteCount, 1 << 26), 1 << 12))
            while count <= maximumByteCount {
                if count == bytes.count { bytes.append(contentsOf: [UInt8](repeating: 0, count: bytes.count)) }
                let read = try file.read(into: &bytes, from: count)
                if read == 0 { break }
                count += read
            }
        } catch {
            throw DatasetError(file: error.path, reason: error.reason)
        }
        guard count <= maximumByteCount else {
            throw DatasetError(file: path, reason: "is larger than \(maximumByteCount) bytes; is it a catalogue?")
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

/// Collects items without duplicates.
struct KnownItemsBuilder {
    private(set) var items: [CatalogueItem] = []
    private(set) var isUntitled: [Bool] = []
    var counts = ReadingCounts()
    private var ids = IDTable()
    private var text: ItemText

    init(_ form: ItemText.Form) { text = ItemText(form) }

    /// The counts, including what was left out of titles and categories.
    var finishedCounts: ReadingCounts {
        var counts = counts
        counts += text.counts
        return counts
    }

    /// Adds an item; false when its id already exists.
    mutating func add(_ entry: ItemEntry) throws(DatasetError) -> Bool {
        let range = 0..<entry.id.count
        guard ids.knownNumber(of: entry.id, range) == nil else { return false }
        let id = try TextCheck.id(entry.id, "id")
        let title = try text.title(entry.title)
        let categories = try text.categories(entry.categories)
        _ = ids.number(of: entry.id, range)
        items.append(CatalogueItem(id: ItemID(id), title: title ?? id, categories: categories))
        isUntitled.append(title == nil)
        if entry.isNumericID { counts[.numericIDs] += 1 }
        counts[.manyCategories] += entry.furtherCategories
        return true
    }
}

/// Requirements on ids and types of events: the same as the event ingestor's.
enum TextCheck {
    /// The text of an id.
    ///
    /// - Throws: `DatasetError` without file and line.
    static func id(_ bytes: [UInt8], _ field: String) throws(DatasetError) -> String {
        try text(bytes, field, of: "an id", limit: Limits.identifierByteCount, onNUL: "an id has none")
    }

    /// Text that has a limit and no NUL, as in an event's JSON.
    ///
    /// - Parameters:
    ///   - bytes: the text.
    ///   - field: the name of its field.
    ///   - what: what it is, for an error.
    ///   - limit: the most bytes it may have.
    ///   - advice: what an error says about a NUL.
    /// - Returns: the text.
    /// - Throws: `DatasetError` without file and line.
    static func text(
        _ bytes: [UInt8],
        _ field: String,
        of what: String,
        limit: Int,
        onNUL advice: String
    ) throws(DatasetError) -> String {
        guard bytes.count <= limit else {
            throw DatasetError(
                field: field,
                value: String(decoding: bytes.prefix(200), as: UTF8.self),
                reason: "has \(bytes.count) bytes, and \(what) may have \(limit)"
            )
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw DatasetError.notUTF8(field, bytes) }
        guard !bytes.contains(0) else {
            throw DatasetError(field: field, value: text, reason: "has a NUL character; \(advice)")
        }
        return text
    }
}
