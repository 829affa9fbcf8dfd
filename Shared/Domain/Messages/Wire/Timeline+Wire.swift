import CMessages
internal import Bytes
internal import JSON

extension Timeline: WireRecord {
    /// The timeline as Protocol Buffers (`timeline.proto`).
    ///
    /// It is smaller than the sum of `TimelineEvent.storedByteCount` over its events, 15 bytes for each of its sources,
    /// and 1,000 bytes.
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let tables = TimelineTables(events)
        let memory = MessageMemory(byteCount: 2_048 + events.count * 48 + sources.count * 16)
        var message = Userllm__Timeline()
        userllm__timeline__init(&message)
        message.has_user = 1
        message.user = memory.bytes(user)
        message.has_generation = 1
        message.generation = generation
        message.has_event_count = 1
        message.event_count = eventCount
        message.has_last_offset = 1
        message.last_offset = lastOffset
        if !sources.isEmpty {
            message.n_source_partitions = sources.count
            message.source_partitions = memory.array(numbers: sources.map { UInt32(bitPattern: $0.partition) })
            message.n_source_offsets = sources.count
            message.source_offsets = memory.array(numbers: sources.map { UInt64(bitPattern: $0.offset) })
        }
        if !events.isEmpty { Self.fill(&message, tables, memory) }
        return packed(message, memory)
    }

    private static func fill(_ message: inout Userllm__Timeline, _ tables: TimelineTables, _ memory: MessageMemory) {
        message.n_items = tables.items.count
        message.items = memory.array(tables.items)
        message.n_event_items = tables.eventItems.count
        message.event_items = memory.array(numbers: tables.eventItems)
        message.n_event_times = tables.eventTimes.count
        message.event_times = memory.array(numbers: tables.eventTimes)
        if tables.timeUnit != 1 {
            message.has_time_unit = 1
            message.time_unit = tables.timeUnit
        }
        if !tables.categories.isEmpty {
            message.n_categories = tables.categories.count
            message.categories = memory.array(tables.categories)
            message.n_category_lists = tables.flatLists.count
            message.category_lists = memory.array(numbers: tables.flatLists)
            message.n_event_category_lists = tables.eventLists.count
            message.event_category_lists = memory.array(numbers: tables.eventLists)
        }
        if !tables.ratings.isEmpty {
            message.n_ratings = tables.ratings.count
            message.ratings = memory.array(numbers: tables.ratings)
            message.n_event_ratings = tables.eventRatings.count
            message.event_ratings = memory.array(numbers: tables.eventRatings)
        }
        if tables.hasIDs {
            message.n_event_ids = tables.eventIDs.count
            message.event_ids = memory.array(numbers: tables.eventIDs)
        }
    }

    /// The timeline as JSON, for people and tools.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(TimelineJSON(self))
    }

    /// Reads a timeline.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes.span)
        case .json: self = try decodedJSON(bytes) { scanner throws(JSONError) in try Timeline(&scanner) }
        }
        try validate()
    }

    private init(protobuf bytes: Span<UInt8>) throws(MessageError) {
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
            }
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
