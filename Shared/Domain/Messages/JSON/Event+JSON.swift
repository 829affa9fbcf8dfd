internal import Bytes
public import JSON

extension Event {
    private enum Field: Int {
        case user, item, time, rating, type, categories, text, id
    }

    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "an event",
        [
            ["user", "user_id", "userId"],
            ["item", "item_id", "itemId"],
            ["time", "timestamp", "ts", "event_time", "eventTime"],
            ["rating"],
            ["type", "event_type", "eventType"],
            ["categories"],
            ["text"],
            ["event_id", "eventId"],
        ]
    )

    /// Reads an event that is part of other bytes, such as a line or an array's element.
    ///
    /// Fields are `user`, `item`, `time`, `rating`, `type`, `categories`, `text` and `event_id`; `user_id`, `userId`,
    /// `item_id`, `itemId`, `timestamp`, `ts`, `event_time`, `eventTime`, `event_type`, `eventType` and `eventId` mean
    /// the same as those.
    ///
    /// - Parameters:
    ///   - bytes: the buffer that contains the event.
    ///   - range: its range there, with any surrounding space.
    ///   - receivedAt: milliseconds since 1970, used when the event has no time of its own; with nil that is an error.
    ///   - unknown: collects the names of other fields.
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    public init(
        json bytes: [UInt8],
        _ range: Range<Int>,
        receivedAt: Int64?,
        unknown: inout UnknownFields
    ) throws(MessageError) {
        var scanner = JSONScanner(bytes, range)
        do throws(JSONError) {
            try self.init(&scanner, receivedAt: receivedAt, unknown: &unknown)
            try scanner.finish()
        } catch {
            throw MessageError(error)
        }
        try validate()
    }

    private init(
        _ scanner: inout JSONScanner,
        receivedAt: Int64?,
        unknown: inout UnknownFields
    ) throws(JSONError) {
        var user: UserID?
        var item: ItemID?
        var id: String?
        var type: String?
        var text: String?
        var rating: Float?
        var time: Int64?
        var categories: [String]?
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
            case .user: user = try scanner.identifier()
            case .item: item = try scanner.identifier()
            case .time: time = try scanner.time()
            case .rating: rating = try scanner.float()
            case .type: type = try scanner.string()
            case .categories: categories = try scanner.strings()
            case .text: text = try scanner.string()
            case .id: id = try scanner.identifier()
            case nil: break
            }
        }
        self.init(
            id: id,
            user: try required(user, "user", "a string"),
            item: try required(item, "item", "a string"),
            type: type,
            rating: rating,
            categories: categories ?? [],
            text: text,
            time: try required(time ?? receivedAt, "time", Timestamp.expected)
        )
    }
}

extension JSONScanner {
    /// Reads an id: a string, or a whole number, whose digits are the id.
    mutating func identifier<ID: ByteText>() throws(JSONError) -> ID { ID(try identifier()) }

    /// Reads an array of strings.
    mutating func strings() throws(JSONError) -> [String] {
        try readArray { scanner throws(JSONError) in try scanner.string() }
    }
}

/// An event's JSON form.
struct EventJSON: Encodable {
    let user: UserID
    let item: ItemID
    let rating: Float?
    let type: String?
    let categories: [String]?
    let text: String?
    let time: JSONTime
    let eventID: String?

    enum CodingKeys: String, CodingKey {
        case user, item, rating, type, categories, text, time
        case eventID = "event_id"
    }

    init(_ event: Event) {
        user = event.user
        item = event.item
        rating = event.rating
        type = event.type
        categories = event.categories.isEmpty ? nil : event.categories
        text = event.text
        time = JSONTime(event.time)
        eventID = event.id
    }
}
