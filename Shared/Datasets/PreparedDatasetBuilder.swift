internal import Identifiers

/// Makes a prepared data set of events that come one after the other.
struct PreparedDatasetBuilder {
    let options: PreparationOptions
    /// Bad lines, and events of unknown items, that were left out.
    var skippedLines = 0

    private var gatherer = EventGatherer()
    /// The items that there are, where that is known; their numbers are those in here.
    private var catalogue: Catalogue?
    private var metadata: ItemMetadata?
    private var removal = EventGatherer.Removal()
    private var readEvents = 0

    init(_ options: PreparationOptions) { self.options = options }

    /// How many events there are.
    var eventCount: Int { gatherer.count }

    /// Takes a complete catalogue, before the first event.
    mutating func know(_ catalogue: Catalogue) {
        self.catalogue = catalogue
        for item in catalogue.items {
            let id = Array(item.id.utf8)
            _ = gatherer.items.number(of: id, 0..<id.count)
        }
    }

    /// Adds an event.
    ///
    /// - Throws: `DatasetError` for an item that a complete catalogue does not have.
    mutating func add(_ row: EventRow, file: String?, line: Int) throws(DatasetError) {
        readEvents += 1
        let id = 0..<row.item.count
        guard catalogue != nil else {
            gatherer.add(row, item: gatherer.items.number(of: row.item, id))
            return
        }
        if let item = gatherer.items.knownNumber(of: row.item, id) {
            gatherer.add(row, item: item)
        } else if options.skipsBadLines {
            skippedLines += 1
        } else {
            throw DatasetError(
                file: file,
                line: line,
                field: "item",
                value: String(decoding: row.item, as: UTF8.self),
                reason: "is not in the catalogue; add it there, or skip bad lines"
            )
        }
    }

    /// Leaves out rare users and items.
    ///
    /// - Throws: `DatasetError` when nothing is left.
    mutating func keepCore(file: String) throws(DatasetError) {
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
        _ fields: ItemMetadata.Fields,
        progress: (Int) -> Void
    ) throws(DatasetError) {
        let metadata = try ItemMetadata(
            path,
            fields,
            items: gatherer.items,
            occurs: gatherer.occurringItems(),
            skipsBadLines: options.skipsBadLines,
            progress: progress
        )
        skippedLines += metadata.skippedLines
        self.metadata = metadata
    }

    /// The data set of a form that was read; nothing is left in here.
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
        var users: [UserID] = []
        users.reserveCapacity(grouped.users.count)
        for user in grouped.users {
            guard let id = gatherer.users.text(user) else {
                throw DatasetError(field: "user", reason: "number \(user + 1) of the file has an id that is not UTF-8")
            }
            users.append(UserID(id))
        }
        return try PreparedDataset(
            catalogue: try Catalogue(items: items),
            users: users,
            events: grouped,
            origin: PreparedDataset.Origin(
                format: format,
                eventsRead: readEvents,
                skippedLines: skippedLines,
                minimumUserEvents: options.minimumUserEvents,
                minimumItemEvents: options.minimumItemEvents,
                removedUsers: removal.users,
                removedItems: removal.items,
                removedEvents: removal.events,
                untitledItems: untitled
            )
        )
    }

    /// An item; without a title it is called by its id.
    private func item(_ number: Int) throws(DatasetError) -> (item: CatalogueItem, isUntitled: Bool) {
        if let catalogue { return (catalogue.items[number], false) }
        guard let id = gatherer.items.text(number) else {
            throw DatasetError(field: "item", reason: "number \(number + 1) of the file has an id that is not UTF-8")
        }
        let title = metadata?.titles[number]
        let item = CatalogueItem(id: ItemID(id), title: title ?? id, categories: metadata?.categories[number] ?? [])
        return (item, title == nil)
    }
}
