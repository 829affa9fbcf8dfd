/// A timeline's JSON form.
struct TimelineJSON: Codable {
    struct Item: Codable {
        let item: String
        let rating: Float?
        let categories: [String]?
        let time: JSONTime
        let idDigest: JSONDigest?

        enum CodingKeys: String, CodingKey {
            case item, rating, categories, time
            case idDigest = "event_id_digest"
        }

        init(_ event: TimelineEvent) {
            item = event.item
            rating = event.rating
            categories = event.categories.isEmpty ? nil : event.categories
            time = JSONTime(event.time)
            idDigest = event.idDigest.map(JSONDigest.init)
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            item = try fields.required(String.self, .item, "a string")
            rating = try fields.optional(Float.self, .rating, "a number")
            categories = try fields.optional([String].self, .categories, "an array of strings")
            time = try fields.required(JSONTime.self, .time, JSONTime.expected)
            idDigest = try fields.optional(JSONDigest.self, .idDigest, JSONDigest.expected)
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
                    time: $0.time.milliseconds,
                    idDigest: $0.idDigest?.value
                )
            }
        )
    }
}

/// A digest in JSON: 16 hexadecimal digits, for JSON's numbers do not hold 64 bits everywhere.
struct JSONDigest: Codable {
    let value: UInt64

    init(_ value: UInt64) {
        self.value = value
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard text.utf8.count == 16, let value = UInt64(text, radix: 16), value != 0 else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a digest")
        }
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        let digits = String(value, radix: 16)
        try container.encode(String(repeating: "0", count: 16 - digits.count) + digits)
    }

    static let expected = "a text of 16 hexadecimal digits that are not all zero"
}
