internal import Bytes
internal import JSON

extension Event: JSONWritable {
    enum Field: String, ObjectField {
        static let object = "an event"

        case user, item, time, rating, type, categories, text
        case id = "event_id"

        var otherNames: [String] {
            switch self {
            case .user: UserID.otherFieldNames
            case .item: ["item_id", "itemId"]
            case .time: ["timestamp", "ts", "event_time", "eventTime"]
            case .type: ["event_type", "eventType"]
            case .id: ["eventId"]
            case .rating, .categories, .text: []
            }
        }
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(user, forKey: .user)
        try json.encode(item, forKey: .item)
        try json.encode(time: time, forKey: .time)
        try json.encodeIfPresent(rating, forKey: .rating)
        try json.encodeIfPresent(type, forKey: .type)
        if !categories.isEmpty { try json.encode(categories, forKey: .categories) }
        try json.encodeIfPresent(text, forKey: .text)
        try json.encodeIfPresent(id, forKey: .id)
    }

    /// Reads an event; one without a time happened at `receivedAt`.
    init(_ scanner: inout JSONScanner, receivedAt: Int64?, unknown: inout UnknownFields) throws(JSONError) {
        var user: UserID?
        var item: ItemID?
        var (id, type, text): (String?, String?, String?)
        var rating: Float?
        var time: Int64?
        var categories: [String] = []
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch field {
            case .user: user = try scanner.identifier()
            case .item: item = try scanner.identifier()
            case .time: time = try scanner.time()
            case .rating: rating = try scanner.float()
            case .type: type = try scanner.string()
            case .categories: categories = try scanner.strings()
            case .text: text = try scanner.string()
            case .id: id = try scanner.identifier()
            }
        }
        self.init(
            id: id,
            user: try Field.user.required(user, "a string"),
            item: try Field.item.required(item, "a string"),
            type: type,
            rating: rating,
            categories: categories,
            text: text,
            time: try Field.time.required(time ?? receivedAt, Timestamp.expected)
        )
    }
}
