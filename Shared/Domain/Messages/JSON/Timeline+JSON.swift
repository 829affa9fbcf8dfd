internal import Bytes
internal import JSON

/// A timeline's JSON form.
struct TimelineJSON: Encodable {
    struct Item: Encodable {
        let item: ItemID
        let rating: Float?
        let categories: [String]?
        let time: Int64
        let idDigest: JSONDigest?

        enum CodingKeys: String, CodingKey {
            case item, rating, categories, time
            case idDigest = "event_id_digest"
        }

        init(_ event: TimelineEvent) {
            item = event.item
            rating = event.rating
            categories = event.categories.isEmpty ? nil : event.categories
            time = event.time
            idDigest = event.idDigest.map(JSONDigest.init)
        }
    }

    struct Source: Encodable {
        let partition: Int32
        let offset: Int64

        init(_ source: Timeline.Source) {
            partition = source.partition
            offset = source.offset
        }
    }

    let user: UserID
    let generation: UInt32
    let eventCount: UInt64
    let lastOffset: Int64
    let sources: [Source]?
    let events: [Item]

    enum CodingKeys: String, CodingKey {
        case user, generation, sources, events
        case eventCount = "event_count"
        case lastOffset = "last_offset"
    }

    init(_ timeline: Timeline) {
        user = timeline.user
        generation = timeline.generation
        eventCount = timeline.eventCount
        lastOffset = timeline.lastOffset
        let sources = timeline.sources.map(Source.init)
        self.sources = sources.isEmpty ? nil : sources
        events = timeline.events.map(Item.init)
    }
}

extension Timeline {
    private enum Field: Int { case user, generation, eventCount, lastOffset, events, sources }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "a timeline",
        [["user", "user_id", "userId"], ["generation"], ["event_count"], ["last_offset"], ["events"], ["sources"]]
    )

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (user, generation, eventCount, lastOffset): (UserID?, UInt32?, UInt64?, Int64?)
        var events: [TimelineEvent]?
        var sources: [Source]?
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .user: user = try scanner.identifier()
            case .generation: generation = try scanner.integer()
            case .eventCount: eventCount = try scanner.integer()
            case .lastOffset: lastOffset = try scanner.integer()
            case .events:
                events = try scanner.readArray { scanner throws(JSONError) in try TimelineEvent(&scanner) }
            case .sources:
                sources = try scanner.readArray { scanner throws(JSONError) in try Source(&scanner) }
            case nil: break
            }
        }
        self.init(
            user: try required(user, "user", "a string"),
            generation: generation ?? 0,
            eventCount: try required(eventCount, "event_count", "a whole number from 0"),
            lastOffset: lastOffset ?? -1,
            sources: sources ?? [],
            events: events ?? []
        )
    }
}

extension Timeline.Source {
    private enum Field: Int { case partition, offset }
    /// In the order of `Field`.
    private static let fields = FieldNames(of: "a source of a timeline", [["partition"], ["offset"]])

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (partition, offset): (Int32?, Int64?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .partition: partition = try scanner.integer()
            case .offset: offset = try scanner.integer()
            case nil: break
            }
        }
        self.init(
            partition: try required(partition, "partition", "a whole number from 0"),
            offset: try required(offset, "offset", "a whole number from 0")
        )
    }
}

extension TimelineEvent {
    private enum Field: Int { case item, rating, categories, time, idDigest }
    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "an event of a timeline",
        [["item", "item_id", "itemId"], ["rating"], ["categories"], ["time", "timestamp"], ["event_id_digest"]]
    )

    fileprivate init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (item, rating, categories): (ItemID?, Float?, [String]?)
        var (time, idDigest): (Int64?, UInt64?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .item: item = try scanner.identifier()
            case .rating: rating = try scanner.float()
            case .categories: categories = try scanner.strings()
            case .time: time = try scanner.ownTime()
            case .idDigest: idDigest = try scanner.digest()
            case nil: break
            }
        }
        self.init(
            item: try required(item, "item", "a string"),
            rating: rating,
            categories: categories ?? [],
            time: try required(time, "time", "milliseconds since 1970"),
            idDigest: idDigest
        )
    }
}

extension JSONScanner {
    /// Reads a digest, as `JSONDigest` writes it.
    fileprivate mutating func digest() throws(JSONError) -> UInt64 {
        let start = position
        let text = try string()
        let isHexadecimal = text.utf8.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
        if text.utf8.count == 16, isHexadecimal, let value = UInt64(text, radix: 16), value != 0 { return value }
        goBack(to: start)
        throw try mismatch("a text of 16 hexadecimal digits that are not all zero")
    }
}

/// A digest in JSON: 16 hexadecimal digits, because not every JSON implementation keeps 64-bit numbers exact.
struct JSONDigest: Encodable {
    let value: UInt64

    init(_ value: UInt64) {
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        let digits = String(value, radix: 16)
        try container.encode(String(repeating: "0", count: 16 - digits.count) + digits)
    }
}
