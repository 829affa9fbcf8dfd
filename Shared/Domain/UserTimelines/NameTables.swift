import Bytes
import Messages

/// The texts of all timelines, each held once: items, categories, and lists of categories.
struct NameTables {
    private(set) var items = InternTable()
    private var categories = InternTable()
    /// Lists of categories, as the numbers of their categories; each list holds a reference to each of them.
    private var lists = InternTable()

    // MARK: - Using

    /// The number of an item, with one more reference.
    mutating func retainItem(_ item: ItemID) -> UInt32 { items.retain(item.text.utf8Span.span).number }

    /// The value of `PackedTimeline.Event.list` for some categories, with one more reference.
    mutating func retainList(_ names: [String]) -> UInt32 {
        guard !names.isEmpty else { return 0 }
        var numbers: [UInt32] = []
        numbers.reserveCapacity(names.count)
        for name in names { numbers.append(categories.retain(name.utf8Span.span).number) }
        let retained = retainList(of: numbers)
        // The existing list has its own reference to each.
        if !retained.isNew {
            for number in numbers { categories.release(number) }
        }
        return retained.number + 1
    }

    private mutating func retainList(of numbers: [UInt32]) -> InternTable.Retained {
        var key: [UInt8] = []
        for number in numbers { Varint.append(UInt64(number), to: &key) }
        return lists.retain(key.span)
    }

    /// Adds references to the texts of a stored timeline's last events, and to the items of those before them.
    ///
    /// - Parameters:
    ///   - columns: the timeline, just read from `bytes`.
    ///   - bytes: its record.
    ///   - count: the number of events.
    ///   - numbers: receives each event's item and list, and the earlier items.
    /// - Throws: `MessageError` for a text that no event may have; no references are added then.
    mutating func retain(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        last count: Int,
        _ numbers: inout EventNumbers
    ) throws(MessageError) {
        var doneCount = 0
        do {
            try retain(columns, from: bytes, last: count, &numbers, &doneCount)
            try retainEarlierItems(columns, from: bytes, last: count, &numbers)
        } catch {
            for event in numbers.events[..<doneCount] { release(item: event.item, list: event.list) }
            for item in numbers.earlierItems { release(item: item) }
            throw error
        }
        if numbers.hasCutEvents { keepLast(&numbers) }
    }

    /// Adds references to the items of earlier events, and of the events before the last.
    private mutating func retainEarlierItems(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        last count: Int,
        _ numbers: inout EventNumbers
    ) throws(MessageError) {
        let cut = columns.eventItems.dropLast(count)
        numbers.hasCutEvents = !cut.isEmpty
        guard numbers.hasCutEvents || !columns.earlierItems.isEmpty else { return }
        let ids = columns.items
        for place in Array(columns.earlierItems) + cut.map({ Int($0) }) {
            if numbers.knownItems[place] == EventNumbers.unknown {
                numbers.knownItems[place] = try retainItem(bytes.extracting(ids[place]))
            } else {
                items.retain(numbers.knownItems[place])
            }
            numbers.earlierItems.append(numbers.knownItems[place])
        }
    }

    /// Of the earlier items, keeps each that no event has, once, in the place of its last event.
    private mutating func keepLast(_ numbers: inout EventNumbers) {
        var known = Set(numbers.events[..<numbers.count].lazy.map(\.item))
        var kept: [UInt32] = []
        for item in numbers.earlierItems.reversed() {
            if known.insert(item).inserted { kept.append(item) } else { release(item: item) }
        }
        numbers.earlierItems = kept.reversed()
    }

    private mutating func retain(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        last count: Int,
        _ numbers: inout EventNumbers,
        _ doneCount: inout Int
    ) throws(MessageError) {
        // Each is read once: the columns are another module's.
        let (items, eventItems, eventLists) = (columns.items, columns.eventItems, columns.eventLists)
        let tables = RecordTables(columns)
        let kept = eventItems.indices.suffix(count)
        numbers.begin(columns, eventCount: kept.count)
        // Spans of parts of one value would count as accesses to the whole.
        var (allItems, allCategories, allLists) = numbers.takeKnown()
        defer { numbers.giveBack(allItems, allCategories, allLists) }
        var knownItems = allItems.mutableSpan
        var knownCategories = allCategories.mutableSpan
        var knownLists = allLists.mutableSpan
        var events = numbers.events.mutableSpan
        for index in kept {
            let place = Int(eventItems[index])
            if knownItems[place] == EventNumbers.unknown {
                knownItems[place] = try retainItem(bytes.extracting(items[place]))
            } else {
                self.items.retain(knownItems[place])
            }
            var event = EventNumbers.Event(
                item: knownItems[place],
                list: 0,
                byteCount: TimelineEvent.storedByteCount(ofItem: items[place].count)
            )
            // From here on the item is released if its list is invalid.
            events[index - kept.lowerBound] = event
            doneCount += 1
            guard !eventLists.isEmpty, eventLists[index] > 0 else { continue }
            let list = Int(eventLists[index] - 1)
            if knownLists[list].number == EventNumbers.unknown {
                knownLists[list] = try retainList(list, tables, bytes, &knownCategories)
            } else {
                lists.retain(knownLists[list].number - 1)
            }
            event.list = knownLists[list].number
            event.byteCount += knownLists[list].byteCount
            events[index - kept.lowerBound] = event
        }
    }

    private mutating func retainItem(_ bytes: Span<UInt8>) throws(MessageError) -> UInt32 {
        let retained = items.retain(bytes)
        guard retained.isNew else { return retained.number }
        // Texts in the table were validated when they were added.
        do {
            _ = try TimelineColumns.item(bytes)
        } catch {
            items.release(retained.number)
            throw error
        }
        return retained.number
    }

    private mutating func retainList(
        _ place: Int,
        _ tables: RecordTables,
        _ bytes: Span<UInt8>,
        _ known: inout MutableSpan<UInt32>
    ) throws(MessageError) -> EventNumbers.List {
        var list = EventNumbers.List(number: 0, byteCount: 0)
        for entry in tables.lists[place] {
            let name = tables.categories[Int(tables.listEntries[entry])]
            list.byteCount += TimelineEvent.storedByteCount(ofCategory: name.count)
        }
        var end = 0
        // Five bytes for each of `Limits.categoryCount` numbers.
        var bytesOfKey = InlineArray<320, UInt8>(repeating: 0)
        var key = bytesOfKey.mutableSpan
        for entry in tables.lists[place] {
            let category = Int(tables.listEntries[entry])
            if known[category] == EventNumbers.unknown {
                guard let number = categories.number(of: bytes.extracting(tables.categories[category])) else {
                    list.number = try retainNewList(place, tables, bytes)
                    return list
                }
                known[category] = number
            }
            PackedTimeline.write(UInt64(known[category]), &key, &end)
        }
        // Nearly always the list exists, and with it its reference to each category.
        if let number = lists.number(of: bytesOfKey.span.extracting(..<end)) {
            lists.retain(number)
            list.number = number + 1
        } else {
            list.number = try retainNewList(place, tables, bytes)
        }
        return list
    }

    /// Makes a list that is new, or has a new category.
    private mutating func retainNewList(
        _ place: Int,
        _ tables: RecordTables,
        _ bytes: Span<UInt8>
    ) throws(MessageError) -> UInt32 {
        var names: [String] = []
        for entry in tables.lists[place] {
            names.append(
                try TimelineColumns.category(bytes.extracting(tables.categories[Int(tables.listEntries[entry])]))
            )
        }
        return retainList(names)
    }

    /// Drops the references of an event that is no longer held.
    mutating func release(item: UInt32, list: UInt32) {
        release(item: item)
        release(list: list)
    }

    /// Drops a reference to an item.
    mutating func release(item: UInt32) { items.release(item) }

    /// Drops a reference to an event's list of categories.
    mutating func release(list: UInt32) {
        guard list > 0, let key = lists.release(list - 1) else { return }
        var position = 0
        while position < key.count {
            categories.release(UInt32(truncatingIfNeeded: PackedTimeline.varint(key.span, &position)))
        }
    }

    // MARK: - Reading

    /// An item's id.
    func item(_ number: UInt32) -> ItemID { ItemID(String(decoding: items[number], as: UTF8.self)) }

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

    /// What an item takes as one of earlier events.
    func storedByteCount(ofEarlierItem item: UInt32) -> Int {
        TimelineEvent.storedByteCount(ofEarlierItem: items.byteCount(of: item))
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

/// The tables in which lists of categories are looked up.
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

/// The numbers that a record's events have here; the memory is reused for one record after another.
struct EventNumbers {
    struct Event {
        var item: UInt32
        /// As `PackedTimeline.Event` has it.
        var list: UInt32
        /// Its `TimelineEvent.storedByteCount`.
        var byteCount: Int
    }

    fileprivate struct List {
        var number: UInt32
        var byteCount: Int
    }

    fileprivate static let unknown = UInt32.max

    /// How many events there are.
    fileprivate(set) var count = 0
    /// The events, followed by those of an earlier record.
    fileprivate(set) var events: [Event] = []
    /// The items of earlier events, in the order of their last events, oldest first.
    fileprivate(set) var earlierItems: [UInt32] = []
    /// Whether some of the record's events are earlier ones here.
    fileprivate var hasCutEvents = false
    // Lookups that were already made.
    fileprivate var knownItems: [UInt32] = []
    fileprivate var knownCategories: [UInt32] = []
    fileprivate var knownLists: [List] = []

    fileprivate mutating func begin(_ columns: TimelineColumns, eventCount: Int) {
        count = eventCount
        earlierItems.removeAll(keepingCapacity: true)
        Self.grow(&events, eventCount, Event(item: 0, list: 0, byteCount: 0))
        Self.reset(&knownItems, columns.items.count, Self.unknown)
        Self.reset(&knownCategories, columns.categories.count, Self.unknown)
        Self.reset(&knownLists, columns.lists.count, List(number: Self.unknown, byteCount: 0))
    }

    /// The lookups, until they are given back: they have no other owner meanwhile, so they are not copied.
    fileprivate mutating func takeKnown() -> (items: [UInt32], categories: [UInt32], lists: [List]) {
        let known = (knownItems, knownCategories, knownLists)
        (knownItems, knownCategories, knownLists) = ([], [], [])
        return known
    }

    fileprivate mutating func giveBack(_ items: [UInt32], _ categories: [UInt32], _ lists: [List]) {
        (knownItems, knownCategories, knownLists) = (items, categories, lists)
    }

    private static func grow<Value>(_ values: inout [Value], _ count: Int, _ value: Value) {
        guard values.count < count else { return }
        values.append(contentsOf: repeatElement(value, count: count - values.count))
    }

    private static func reset<Value>(_ values: inout [Value], _ count: Int, _ value: Value) {
        grow(&values, count, value)
        var span = values.mutableSpan
        for index in 0..<count { span[index] = value }
    }
}
