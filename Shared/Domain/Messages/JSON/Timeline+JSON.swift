internal import Bytes
internal import JSON

extension Timeline {
    enum Field: String, ObjectField {
        static let object = "a timeline"

        case user, generation
        case eventCount = "event_count"
        case lastOffset = "last_offset"
        case events, sources
        case earlierItems = "earlier_items"

        var otherNames: [String] { self == .user ? UserID.otherFieldNames : [] }
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(user, forKey: .user)
        try json.encode(generation, forKey: .generation)
        try json.encode(eventCount, forKey: .eventCount)
        try json.encode(lastOffset, forKey: .lastOffset)
        try json.encode(events.map(JSONForm.init), forKey: .events)
        if !sources.isEmpty { try json.encode(sources.map(JSONForm.init), forKey: .sources) }
        if !earlierItems.isEmpty { try json.encode(earlierItems, forKey: .earlierItems) }
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (user, eventCount): (UserID?, UInt64?)
        var (generation, lastOffset) = (0 as UInt32, -1 as Int64)
        var events: [TimelineEvent] = []
        var sources: [Source] = []
        var earlierItems: [ItemID] = []
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .user: user = try scanner.identifier()
            case .generation: generation = try scanner.integer()
            case .eventCount: eventCount = try scanner.integer()
            case .lastOffset: lastOffset = try scanner.integer()
            case .events: events = try scanner.objects()
            case .sources: sources = try scanner.objects()
            case .earlierItems:
                earlierItems = try scanner.readArray { scanner throws(JSONError) in try scanner.identifier() }
            }
        }
        self.init(
            user: try Field.user.required(user, "a string"),
            generation: generation,
            eventCount: try Field.eventCount.required(eventCount, "a whole number from 0"),
            lastOffset: lastOffset,
            sources: sources,
            events: events,
            earlierItems: earlierItems
        )
    }
}

extension Timeline.Source: JSONWritable, JSONReadable {
    enum Field: String, ObjectField {
        static let object = "a source of a timeline"

        case partition, offset
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(partition, forKey: .partition)
        try json.encode(offset, forKey: .offset)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (partition, offset): (Int32?, Int64?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .partition: partition = try scanner.integer()
            case .offset: offset = try scanner.integer()
            }
        }
        self.init(
            partition: try Field.partition.required(partition, "a whole number from 0"),
            offset: try Field.offset.required(offset, "a whole number from 0")
        )
    }
}

extension TimelineEvent: JSONWritable, JSONReadable {
    enum Field: String, ObjectField {
        static let object = "an event of a timeline"

        case item, rating, categories, time
        case idDigest = "event_id_digest"

        var otherNames: [String] {
            switch self {
            case .item: ["item_id", "itemId"]
            case .time: ["timestamp"]
            default: []
            }
        }
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(item, forKey: .item)
        try json.encodeIfPresent(rating, forKey: .rating)
        if !categories.isEmpty { try json.encode(categories, forKey: .categories) }
        try json.encode(time, forKey: .time)
        try json.encodeIfPresent(idDigest.map(hexadecimal), forKey: .idDigest)
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (item, rating, categories): (ItemID?, Float?, [String]) = (nil, nil, [])
        var (time, idDigest): (Int64?, UInt64?)
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .item: item = try scanner.identifier()
            case .rating: rating = try scanner.float()
            case .categories: categories = try scanner.strings()
            case .time: time = try scanner.ownTime()
            case .idDigest: idDigest = try scanner.digest()
            }
        }
        self.init(
            item: try Field.item.required(item, "a string"),
            rating: rating,
            categories: categories,
            time: try Field.time.required(time, "milliseconds since 1970"),
            idDigest: idDigest
        )
    }
}

extension JSONScanner {
    /// Reads a digest, as it is written.
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
private func hexadecimal(_ digest: UInt64) -> String {
    let digits = String(digest, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
