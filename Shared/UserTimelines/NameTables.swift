import Messages

/// The texts of all timelines, each held once: items, categories, and lists of categories.
struct NameTables {
    private(set) var items = InternTable()
    private var categories = InternTable()
    /// Lists of categories: the numbers of their categories, of which each list uses one.
    private var lists = InternTable()
    private var key: [UInt8] = []
    private var listCategories: [UInt32] = []

    // MARK: - Using

    /// The number of an item, used once more.
    mutating func retainItem(_ item: String) -> UInt32 { items.retain(item.utf8Span.span).number }

    /// What `PackedTimeline.Event.list` has for some categories, used once more.
    mutating func retainList(_ names: [String]) -> UInt32 {
        guard !names.isEmpty else { return 0 }
        listCategories.removeAll(keepingCapacity: true)
        for name in names { listCategories.append(categories.retain(name.utf8Span.span).number) }
        return retainCollectedList()
    }

    /// Uses the texts of a stored timeline's last events.
    ///
    /// - Parameters:
    ///   - columns: the timeline, just read from `bytes`.
    ///   - bytes: its record.
    ///   - count: of how many events.
    ///   - numbers: gets each event's item and list.
    /// - Throws: `MessageError` for a text that no event has. Nothing may be restored after it.
    mutating func retain(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        last count: Int,
        _ numbers: inout EventNumbers
    ) throws(MessageError) {
        numbers.begin(columns)
        // Each is asked for once: the columns are another module's.
        let (items, eventItems, eventLists) = (columns.items, columns.eventItems, columns.eventLists)
        let tables = RecordTables(columns)
        for index in eventItems.indices.suffix(count) {
            let place = Int(eventItems[index])
            if numbers.knownItems[place] == EventNumbers.unknown {
                numbers.knownItems[place] = try retainItem(bytes.extracting(items[place]))
            } else {
                self.items.retain(numbers.knownItems[place])
            }
            var byteCount = TimelineEvent.storedByteCount(ofItem: items[place].count)
            var list: UInt32 = 0
            if !eventLists.isEmpty, eventLists[index] > 0 {
                let place = Int(eventLists[index] - 1)
                if numbers.knownLists[place].number == EventNumbers.unknown {
                    numbers.knownLists[place] = try retainList(place, tables, bytes, &numbers.knownCategories)
                } else {
                    lists.retain(numbers.knownLists[place].number - 1)
                }
                list = numbers.knownLists[place].number
                byteCount += numbers.knownLists[place].byteCount
            }
            numbers.events.append((numbers.knownItems[place], list, byteCount))
        }
    }

    private mutating func retainItem(_ bytes: Span<UInt8>) throws(MessageError) -> UInt32 {
        let retained = items.retain(bytes)
        // What is in the table was looked at when it came.
        if retained.isNew { _ = try TimelineColumns.item(bytes) }
        return retained.number
    }

    private mutating func retainList(
        _ place: Int,
        _ tables: RecordTables,
        _ bytes: Span<UInt8>,
        _ known: inout [UInt32]
    ) throws(MessageError) -> (number: UInt32, byteCount: Int) {
        listCategories.removeAll(keepingCapacity: true)
        var byteCount = 0
        for entry in tables.lists[place] {
            let category = Int(tables.listEntries[entry])
            byteCount += TimelineEvent.storedByteCount(ofCategory: tables.categories[category].count)
            if known[category] == EventNumbers.unknown {
                let name = bytes.extracting(tables.categories[category])
                let retained = categories.retain(name)
                if retained.isNew { _ = try TimelineColumns.category(name) }
                known[category] = retained.number
            } else {
                categories.retain(known[category])
            }
            listCategories.append(known[category])
        }
        return (retainCollectedList(), byteCount)
    }

    /// Makes a list of `listCategories`, which have one use each for it.
    private mutating func retainCollectedList() -> UInt32 {
        key.removeAll(keepingCapacity: true)
        for number in listCategories { PackedTimeline.append(varint: UInt64(number), to: &key) }
        let finished = key
        let retained = lists.retain(finished.span)
        if !retained.isNew {
            for number in listCategories { categories.release(number) }
        }
        return retained.number + 1
    }

    /// Says that an event is held no more.
    mutating func release(item: UInt32, list: UInt32) {
        items.release(item)
        guard list > 0, let key = lists.release(list - 1) else { return }
        var position = 0
        while position < key.count {
            categories.release(UInt32(truncatingIfNeeded: PackedTimeline.varint(key.span, &position)))
        }
    }

    // MARK: - Reading

    /// An item's id.
    func item(_ number: UInt32) -> String { String(decoding: items[number], as: UTF8.self) }

    /// The categories of an event's list.
    func categories(ofList list: UInt32) -> [String] {
        guard list > 0 else { return [] }
        let key = lists[list - 1]
        var names: [String] = []
        var position = 0
        while position < key.count {
            let number = UInt32(truncatingIfNeeded: PackedTimeline.varint(key.span, &position))
            names.append(String(decoding: categories[number], as: UTF8.self))
        }
        return names
    }

    /// `TimelineEvent.storedByteCount` of an event.
    func storedByteCount(item: UInt32, list: UInt32) -> Int {
        var sum = TimelineEvent.storedByteCount(ofItem: items.byteCount(of: item))
        guard list > 0 else { return sum }
        let key = lists[list - 1]
        var position = 0
        while position < key.count {
            let number = UInt32(truncatingIfNeeded: PackedTimeline.varint(key.span, &position))
            sum += TimelineEvent.storedByteCount(ofCategory: categories.byteCount(of: number))
        }
        return sum
    }
}

/// What lists of categories are looked up in.
private struct RecordTables {
    let categories: [Range<Int>]
    let lists: [Range<Int>]
    let listEntries: [UInt32]

    init(_ columns: TimelineColumns) {
        categories = columns.categories
        lists = columns.lists
        listEntries = columns.listEntries
    }
}

/// The numbers that a record's events have here; its memory is used for one record after another.
struct EventNumbers {
    fileprivate static let unknown = UInt32.max

    /// Of each event its item, its list as `PackedTimeline.Event` has it, and its `TimelineEvent.storedByteCount`.
    fileprivate(set) var events: [(item: UInt32, list: UInt32, byteCount: Int)] = []
    // What was looked up already.
    fileprivate var knownItems: [UInt32] = []
    fileprivate var knownCategories: [UInt32] = []
    fileprivate var knownLists: [(number: UInt32, byteCount: Int)] = []

    fileprivate mutating func begin(_ columns: TimelineColumns) {
        events.removeAll(keepingCapacity: true)
        Self.clear(&knownItems, columns.items.count, Self.unknown)
        Self.clear(&knownCategories, columns.categories.count, Self.unknown)
        Self.clear(&knownLists, columns.lists.count, (Self.unknown, 0))
    }

    private static func clear<Value>(_ values: inout [Value], _ count: Int, _ value: Value) {
        values.removeAll(keepingCapacity: true)
        values.append(contentsOf: repeatElement(value, count: count))
    }
}
