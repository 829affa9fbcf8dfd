import CMessages

extension Timeline: WireRecord {
    /// The timeline as Protocol Buffers (`timeline.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let memory = MessageMemory(byteCount: 512 + events.count * 192)
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
        message.n_events = events.count
        if !events.isEmpty { message.events = memory.array(events.map { Self.message($0, memory) }) }
        return packed(message, memory)
    }

    private static func message(_ event: TimelineEvent, _ memory: MessageMemory) -> Userllm__TimelineEvent {
        var message = Userllm__TimelineEvent()
        userllm__timeline_event__init(&message)
        message.has_item = 1
        message.item = memory.bytes(event.item)
        message.has_time = 1
        message.time = event.time
        if let rating = event.rating {
            message.has_rating = 1
            message.rating = rating
        }
        message.n_categories = event.categories.count
        if !event.categories.isEmpty { message.categories = memory.array(event.categories) }
        return message
    }

    /// The timeline as JSON, for people and tools.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(TimelineJSON(self))
    }

    /// Reads a timeline.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json: self = try decodedJSON(TimelineJSON.self, bytes, "timeline").timeline
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "Timeline", userllm__timeline__unpack)
        defer { userllm__timeline__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        var events: [TimelineEvent] = []
        events.reserveCapacity(message.n_events)
        for index in 0..<message.n_events {
            guard let event = message.events[index]?.pointee else { continue }
            events.append(
                TimelineEvent(
                    item: try event.item.text("events[\(index)].item"),
                    rating: event.has_rating != 0 ? event.rating : nil,
                    categories: try texts(event.categories, event.n_categories, "events[\(index)].categories"),
                    time: event.time
                )
            )
        }
        self.init(
            user: try message.user.text("user"),
            generation: message.generation,
            eventCount: message.event_count,
            lastOffset: message.has_last_offset != 0 ? message.last_offset : -1,
            events: events
        )
    }

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(user, "user")
        try Check.count(eventCount, "event_count")
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

/// A timeline's JSON form.
private struct TimelineJSON: Codable {
    struct Item: Codable {
        let item: String
        let rating: Float?
        let categories: [String]?
        let time: JSONTime

        enum CodingKeys: String, CodingKey {
            case item, rating, categories, time
        }

        init(_ event: TimelineEvent) {
            item = event.item
            rating = event.rating
            categories = event.categories.isEmpty ? nil : event.categories
            time = JSONTime(event.time)
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            item = try fields.required(String.self, .item, "a string")
            rating = try fields.optional(Float.self, .rating, "a number")
            categories = try fields.optional([String].self, .categories, "an array of strings")
            time = try fields.required(JSONTime.self, .time, JSONTime.expected)
        }
    }

    let user: String
    let generation: UInt32
    let eventCount: UInt64
    let lastOffset: Int64
    let events: [Item]

    enum CodingKeys: String, CodingKey {
        case user, generation, events
        case eventCount = "event_count"
        case lastOffset = "last_offset"
    }

    init(_ timeline: Timeline) {
        user = timeline.user
        generation = timeline.generation
        eventCount = timeline.eventCount
        lastOffset = timeline.lastOffset
        events = timeline.events.map(Item.init)
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        user = try fields.required(String.self, .user, "a string")
        generation = try fields.optional(UInt32.self, .generation, "a whole number from 0") ?? 0
        eventCount = try fields.required(UInt64.self, .eventCount, "a whole number from 0")
        lastOffset = try fields.optional(Int64.self, .lastOffset, "a whole number") ?? -1
        events = try fields.optional([Item].self, .events, "an array of objects") ?? []
    }

    var timeline: Timeline {
        Timeline(
            user: user,
            generation: generation,
            eventCount: eventCount,
            lastOffset: lastOffset,
            events: events.map {
                TimelineEvent(
                    item: $0.item,
                    rating: $0.rating,
                    categories: $0.categories ?? [],
                    time: $0.time.milliseconds
                )
            }
        )
    }
}
