import Bytes
import Messages

/// The texts of all timelines, each held once: items, categories, and lists of categories.
struct NameTables {
    private(set) var items = InternTable()
    private var categories = InternTable()
    /// Lists of categories: the numbers of their categories, of which each list uses one.
    private var lists = InternTable()

    // MARK: - Using

    /// The number of an item, used once more.
    mutating func retainItem(_ item: ItemID) -> UInt32 { items.retain(item.text.utf8Span.span).number }

    /// What `PackedTimeline.Event.list` has for some categories, used once more.
    mutating func retainList(_ names: [String]) -> UInt32 {
        guard !names.isEmpty else { return 0 }
        var numbers: [UInt32] = []
        numbers.reserveCapacity(names.count)
        for name in names { numbers.append(categories.retain(name.utf8Span.span).number) }
        let retained = retainList(of: numbers)
        // The list that is there has its own use of each.
        if !retained.isNew {
            for number in numbers { categories.release(number) }
        }
        return retained.number + 1
    }

    private mutating func retainList(of numbers: [UInt32]) -> InternTable.Retained {
        var key: [UInt8] = []
        for number in numbers { PackedTimeline.append(varint: UInt64(number), to: &key) }
        return lists.retain(key.span)
    }

    /// Uses the texts of a stored timeline's last events.
    ///
    /// - Parameters:
    ///   - columns: the timeline, just read from `bytes`.
    ///   - bytes: its record.
    ///   - count: of how many events.
    ///   - numbers: gets each event's item and list.
    /// - Throws: `MessageError` for a text that no event has; nothing more is used then than before.
    mutating func retain(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        last count: Int,
        _ numbers: inout EventNumbers
    ) throws(MessageError) {
        var doneCount = 0
        do {
            try retain(columns, from: bytes, last: count, &numbers, &doneCount)
        } catch {
            for event in numbers.events[..<doneCount] { release(item: event.item, list: event.list) }
            throw error
        }
    }

    private mutating func retain(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        last count: Int,
        _ numbers: inout EventNumbers,
        _ doneCount: inout Int
    ) throws(MessageError) {
        // Each is asked for once: the columns are another module's.
        let (items, eventItems, eventLists) = (columns.items, columns.eventItems, columns.eventLists)
        let tables = RecordTables(columns)
        let kept = eventItems.indices.suffix(count)
        numbers.begin(columns, eventCount: kept.count)
        // Spans of parts of one value would be accesses to the whole.
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
            // From here on the item is released should its list be at fault.
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
        // What is in the table was looked at when it came.
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
        // Nearly always the list is there, and with it its use of each category.
        if let number = lists.number(of: bytesOfKey.span.extracting(..<end)) {
            lists.retain(number)
            list.number = number + 1
        } else {
            list.number = try retainNewList(place, tables, bytes)
        }
        return list
    }

    /// Makes a list that is not there, or has a category that is not.
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
    /// The events, and behind them what an earlier record had.
    fileprivate(set) var events: [Event] = []
    // What was looked up already.
    fileprivate var knownItems: [UInt32] = []
    fileprivate var knownCategories: [UInt32] = []
    fileprivate var knownLists: [List] = []

    fileprivate mutating func begin(_ columns: TimelineColumns, eventCount: Int) {
        count = eventCount
        Self.grow(&events, eventCount, Event(item: 0, list: 0, byteCount: 0))
        Self.reset(&knownItems, columns.items.count, Self.unknown)
        Self.reset(&knownCategories, columns.categories.count, Self.unknown)
        Self.reset(&knownLists, columns.lists.count, List(number: Self.unknown, byteCount: 0))
    }

    /// What was looked up, until it is given back: nobody else has it meanwhile, so it is not copied.
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
