internal import Bytes

/// Titles and categories of the items that occur in events, read from a larger file.
///
/// Only items that occur in events are kept, so that the metadata of millions of products take no memory. The first
/// entry of an item counts: some occur twice in Amazon's 2018 set.
struct ItemMetadata {
    /// The title of each item, by item number; nil when there is none.
    private(set) var titles: [String?]
    /// The categories of each item.
    private(set) var categories: [[String]]
    /// What was left out or decoded.
    private(set) var counts = ReadingCounts()

    /// Reads the metadata of the items that occur in events.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - form: the format of the file.
    ///   - items: the numbers of the items.
    ///   - occurs: which of them occur in events.
    ///   - skipsBadLines: whether bad lines are skipped and counted.
    ///   - progress: called from time to time with the number of bytes of the file on disk read so far.
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
                // Nothing from a skipped line is kept.
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
        // Only category trees have a root.
        if case .json = form { leaveOutWhatNearlyAllHave(occurs) }
    }

    /// Removes a category that nearly every item has, such as the root of a category tree: it distinguishes nothing.
    private mutating func leaveOutWhatNearlyAllHave(_ occurs: [Bool]) {
        let described = categories.indices.filter { occurs[$0] && !categories[$0].isEmpty }
        var counts: [TextKey: Int] = [:]
        for item in described {
            for category in categories[item] { counts[TextKey(category), default: 0] += 1 }
        }
        let common = counts.filter { $0.value * 20 > described.count * 19 }
        // If it is the only one, it is at least a name for all of them.
        guard described.count > 1, common.count < counts.count else { return }
        for item in described { categories[item].removeAll { common[TextKey($0)] != nil } }
    }
}
