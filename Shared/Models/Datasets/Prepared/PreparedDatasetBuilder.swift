internal import Bytes
internal import Catalogues

/// Builds a prepared data set from events, one at a time.
struct PreparedDatasetBuilder {
    let options: PreparationOptions
    /// Counts of what was left out, decoded or assumed.
    var counts = ReadingCounts()

    private var gatherer: EventGatherer
    /// The complete catalogue, if known; item numbers are indices into it.
    private var known: KnownItems?
    private var metadata: ItemMetadata?
    private var removal = EventGatherer.Removal()
    private var readEvents = 0

    init(_ options: PreparationOptions) {
        self.options = options
        gatherer = EventGatherer(keepsReviews: options.reviewByteCount != nil)
    }

    /// How many events there are.
    var eventCount: Int { gatherer.count }
    /// Bad lines and events of unknown items that were skipped.
    var skippedLines: Int { counts[.badLines] + counts[.unknownItems] }

    /// Sets a complete catalogue; must come before the first event.
    mutating func know(_ items: KnownItems) {
        known = items
        counts += items.counts
        for item in items.catalogue.items {
            let id = Array(item.id.utf8)
            _ = gatherer.items.number(of: id, 0..<id.count)
        }
    }

    /// Adds an event.
    ///
    /// - Throws: `DatasetError` for an item that is not in a complete catalogue, an invalid id and an invalid text, unless
    ///   bad lines are skipped.
    mutating func add(_ row: EventRow, file: String?, line: Int) throws(DatasetError) {
        readEvents += 1
        do throws(DatasetError) {
            guard let item = try itemNumber(row) else { return }
            try gatherer.add(row, item: item, review: options.review(row.text, &counts))
        } catch {
            guard !options.skipsBadLines else {
                counts[.badLines] += 1
                return
            }
            var error = error
            (error.file, error.line) = (file, line)
            throw error
        }
    }

    /// The number of an event's item; nil when it is unknown and skipped.
    private mutating func itemNumber(_ row: EventRow) throws(DatasetError) -> Int? {
        let id = 0..<row.item.count
        if let number = gatherer.items.knownNumber(of: row.item, id) { return number }
        let text = try TextCheck.id(row.item, "item")
        guard known != nil else { return gatherer.items.number(of: row.item, id) }
        guard options.skipsBadLines else {
            throw DatasetError(
                field: "item",
                value: text,
                reason: "is not in the catalogue; add it there, or skip bad lines"
            )
        }
        counts[.unknownItems] += 1
        return nil
    }

    /// Removes rare users and items.
    ///
    /// - Throws: `DatasetError` when nothing is left.
    mutating func keepCore(file: String) throws(DatasetError) {
        if options.dropsDuplicates { counts[.duplicatesDropped] += gatherer.dropDuplicates() }
        let (users, items) = (options.minimumUserEvents, options.minimumItemEvents)
        removal = gatherer.keepCore(minimumUserEvents: users, minimumItemEvents: items)
        guard gatherer.count > 0 else {
            throw DatasetError(
                file: file,
                reason: "has no users with at least \(users) events of items with at least \(items): "
                    + "lower --minimum-user-events or --minimum-item-events"
            )
        }
    }

    /// Reads titles and categories of the items that have events.
    mutating func describe(
        _ path: String,
        _ form: ItemLines.Form,
        progress: (Int) -> Void
    ) throws(DatasetError) {
        let metadata = try ItemMetadata(
            path,
            form,
            items: gatherer.items,
            occurs: gatherer.occurringItems(),
            skipsBadLines: options.skipsBadLines,
            progress: progress
        )
        counts += metadata.counts
        self.metadata = metadata
    }

    /// The data set, labelled with the format that was read; this builder is empty afterwards.
    mutating func build(format: String) throws(DatasetError) -> PreparedDataset {
        let occurs = gatherer.occurringItems()
        var newItems = [Int32](repeating: -1, count: occurs.count)
        var items: [CatalogueItem] = []
        var untitled = 0
        for number in occurs.indices where occurs[number] {
            newItems[number] = Int32(items.count)
            let item = try item(number)
            if item.isUntitled { untitled += 1 }
            items.append(item.item)
        }
        let grouped = gatherer.group(newItems: newItems)
        counts[.duplicatesKept] += grouped.duplicateCount()
        var users: [UserID] = []
        users.reserveCapacity(grouped.users.count)
        for user in grouped.users {
            guard let id = gatherer.users.text(user) else {
                throw DatasetError(field: "user", reason: "number \(user + 1) of the file has an id that is not UTF-8")
            }
            users.append(UserID(id))
        }
        var origin = PreparedDataset.Origin()
        origin.format = format
        origin.eventsRead = readEvents
        origin.skippedLines = skippedLines
        origin.minimumUserEvents = options.minimumUserEvents
        origin.minimumItemEvents = options.minimumItemEvents
        (origin.removedUsers, origin.removedItems, origin.removedEvents) = (
            removal.users, removal.items, removal.events
        )
        origin.untitledItems = untitled
        origin.counts = counts
        return try PreparedDataset(
            catalogue: try DatasetError.naming { () throws(CatalogueError) in try Catalogue(items: items) },
            users: users,
            events: grouped,
            origin: origin
        )
    }

    /// An item; without a title it is called by its id.
    private func item(_ number: Int) throws(DatasetError) -> (item: CatalogueItem, isUntitled: Bool) {
        if let known { return (known.catalogue.items[number], known.isUntitled[number]) }
        guard let id = gatherer.items.text(number) else {
            throw DatasetError(field: "item", reason: "number \(number + 1) of the file has an id that is not UTF-8")
        }
        let title = metadata?.titles[number]
        let item = CatalogueItem(id: ItemID(id), title: title ?? id, categories: metadata?.categories[number] ?? [])
        return (item, title == nil)
    }
}
