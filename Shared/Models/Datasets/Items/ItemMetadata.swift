internal import Bytes

/// Titles and categories of the items that occur, read from a file about many.
///
/// Only items that occur in events are kept, so that the metadata of millions of products take no memory. The first
/// entry of an item counts: Amazon's 2018 set has some twice.
struct ItemMetadata {
    /// The title of each item, by its number; nil when there is none.
    private(set) var titles: [String?]
    /// The categories of each item.
    private(set) var categories: [[String]]
    /// What was left out or decoded.
    private(set) var counts = ReadingCounts()

    /// Reads the metadata of the items that occur.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - form: how it is written.
    ///   - items: the items' numbers.
    ///   - occurs: which of them are wanted.
    ///   - skipsBadLines: whether a bad line is left out and counted.
    ///   - progress: called now and then with the bytes read of the file on disk.
    /// - Throws: `DatasetError` naming file, line, field and value.
    init(
        _ path: String,
        _ form: ItemLines.Form,
        items: IDTable,
        occurs: [Bool],
        skipsBadLines: Bool,
        progress: (Int) -> Void
    ) throws(DatasetError) {
        var (titles, categories) = (
            [String?](repeating: nil, count: items.count), [[String]](repeating: [], count: items.count)
        )
        var counts = ReadingCounts()
        var text = ItemText(form.text)
        var isKnown = [Bool](repeating: false, count: items.count)
        var lines = try ItemLines(path, form, skipsBadLines: skipsBadLines)
        try lines.forEach { (entry, lines) throws(DatasetError) in
            if lines.line & 0xFFF == 0 { progress(lines.bytesRead) }
            guard let number = items.knownNumber(of: entry.id, 0..<entry.id.count), occurs[number] else { return }
            guard !isKnown[number] else {
                counts[.itemsGivenTwice] += 1
                return
            }
            let before = text
            do throws(DatasetError) {
                titles[number] = try text.title(entry.title)
                categories[number] = try text.categories(entry.categories)
            } catch {
                // Nothing of a line that is left out counts.
                titles[number] = nil
                text = before
                throw error
            }
            if entry.isNumericID { counts[.numericIDs] += 1 }
            counts[.manyCategories] += entry.furtherCategories
            isKnown[number] = true
        }
        counts += text.counts
        counts[.badLines] += lines.skippedLines
        counts[.recordsOfSeveralLines] += lines.recordsOfSeveralLines
        self.titles = titles
        self.categories = categories
        self.counts = counts
        // Only trees of categories have a root.
        if case .json = form { leaveOutWhatNearlyAllHave(occurs) }
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
