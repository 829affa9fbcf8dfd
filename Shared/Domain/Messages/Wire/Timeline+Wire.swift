import CMessages
internal import Bytes
internal import JSON

extension Timeline: RecordCoding {
    /// The timeline as Protocol Buffers (`timeline.proto`).
    ///
    /// It is smaller than the sum of `TimelineEvent.storedByteCount` over its events and earlier items, 15 bytes for
    /// each of its sources, and 1,000 bytes.
    func packedUnchecked() -> [UInt8] {
        let tables = TimelineTables(events)
        let memory = MessageMemory(
            byteCount: 2_048 + events.count * 48 + earlierItems.count * 32 + sources.count * 16
        )
        var message = Userllm__Timeline()
        userllm__timeline__init(&message)
        (message.has_user, message.user) = present(memory.bytes(user))
        (message.has_generation, message.generation) = present(generation)
        (message.has_event_count, message.event_count) = present(eventCount)
        (message.has_last_offset, message.last_offset) = present(lastOffset)
        if !sources.isEmpty {
            (message.n_source_partitions, message.source_partitions) = memory.list(sources) {
                UInt32(bitPattern: $0.partition)
            }
            (message.n_source_offsets, message.source_offsets) = memory.list(sources) { UInt64(bitPattern: $0.offset) }
        }
        if !events.isEmpty { Self.fill(&message, tables, earlierItems, memory) }
        return packed(message, memory)
    }

    private static func fill(
        _ message: inout Userllm__Timeline,
        _ tables: TimelineTables,
        _ earlierItems: [ItemID],
        _ memory: MessageMemory
    ) {
        (message.n_items, message.items) = memory.list(tables.items + earlierItems)
        if !earlierItems.isEmpty {
            (message.has_earlier_item_count, message.earlier_item_count) = present(UInt32(earlierItems.count))
        }
        (message.n_event_items, message.event_items) = memory.list(numbers: tables.eventItems)
        (message.n_event_times, message.event_times) = memory.list(numbers: tables.eventTimes)
        if tables.timeUnit != 1 {
            (message.has_time_unit, message.time_unit) = present(tables.timeUnit)
        }
        if !tables.categories.isEmpty {
            (message.n_categories, message.categories) = memory.list(tables.categories)
            (message.n_category_lists, message.category_lists) = memory.list(numbers: tables.flatLists)
            (message.n_event_category_lists, message.event_category_lists) = memory.list(numbers: tables.eventLists)
        }
        if !tables.ratings.isEmpty {
            (message.n_ratings, message.ratings) = memory.list(numbers: tables.ratings)
            (message.n_event_ratings, message.event_ratings) = memory.list(numbers: tables.eventRatings)
        }
        if tables.hasIDs {
            (message.n_event_ids, message.event_ids) = memory.list(numbers: tables.eventIDs)
        }
    }

    init(protobuf array: [UInt8]) throws(MessageError) {
        let bytes = array.span
        var columns = TimelineColumns()
        try columns.read(bytes)
        var items: [ItemID] = []
        for (index, place) in columns.items.enumerated() {
            items.append(ItemID(try validText(bytes.extracting(place), "items[\(index)]")))
        }
        var categories: [String] = []
        for (index, place) in columns.categories.enumerated() {
            categories.append(try validText(bytes.extracting(place), "categories[\(index)]"))
        }
        let lists = [[]] + columns.lists.map { $0.map { categories[Int(columns.listEntries[$0])] } }
        let ratings = [nil] + columns.ratings.map(Optional.init)
        self.init(
            user: columns.user,
            generation: columns.generation,
            eventCount: columns.eventCount,
            lastOffset: columns.lastOffset,
            sources: columns.sources,
            events: columns.eventItems.indices.map { index in
                TimelineEvent(
                    item: items[Int(columns.eventItems[index])],
                    rating: columns.eventRatings.isEmpty ? nil : ratings[Int(columns.eventRatings[index])],
                    categories: columns.eventLists.isEmpty ? [] : lists[Int(columns.eventLists[index])],
                    time: columns.eventTimes[index],
                    idDigest: columns.eventIDs.isEmpty || columns.eventIDs[index] == 0 ? nil : columns.eventIDs[index]
                )
            },
            earlierItems: Array(items[columns.earlierItems])
        )
    }

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(user, "user")
        try TimelineColumns.check(generation: generation, eventCount: eventCount, lastOffset: lastOffset)
        try TimelineColumns.check(sources)
        guard events.count <= Limits.timelineEventCount, events.count <= eventCount else {
            throw MessageError(
                field: "events",
                reason: "has \(events.count) entries: send at most \(Limits.timelineEventCount) and no more than "
                    + "event_count, which is \(eventCount)"
            )
        }
        try TimelineColumns.check(earlierItemCount: earlierItems.count, eventCount: events.count, of: eventCount)
        for (index, item) in earlierItems.enumerated() { try Check.identifier(item, "earlier_items[\(index)]") }
        for (index, event) in events.enumerated() {
            do {
                try event.validate()
            } catch {
                throw MessageError(field: "events[\(index)].\(error.field ?? "")", reason: error.reason)
            }
        }
    }
}

extension TimelineEvent {
    fileprivate func validate() throws(MessageError) {
        try Check.identifier(item, "item")
        if let rating { try Check.finite(rating, "rating") }
        if !categories.isEmpty { try Check.categories(categories, "categories") }
        try Check.time(time, "time")
    }
}
