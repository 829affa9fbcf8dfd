import CMessages
internal import Bytes
internal import JSON

extension Event: WireRecord {
    /// The event as Protocol Buffers (`event.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        return packedUnchecked()
    }

    /// The same for an event that was checked already.
    func packedUnchecked() -> [UInt8] {
        let memory = MessageMemory()
        var message = Userllm__Event()
        userllm__event__init(&message)
        (message.has_user, message.user) = present(memory.bytes(user))
        (message.has_item, message.item) = present(memory.bytes(item))
        (message.has_time, message.time) = present(time)
        if let rating {
            (message.has_rating, message.rating) = present(rating)
        }
        if let type {
            (message.has_type, message.type) = present(memory.bytes(type))
        }
        message.n_categories = categories.count
        if !categories.isEmpty { message.categories = memory.array(categories.map { TextKey($0) }) }
        if let text {
            (message.has_text, message.text) = present(memory.bytes(text))
        }
        if let id {
            (message.has_id, message.id) = present(memory.bytes(id))
        }
        return packed(message, memory)
    }

    /// The event as JSON: `user`, `item`, `time`, and what there is of `rating`, `type`, `categories`, `text`,
    /// `event_id`.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(JSONForm(self))
    }

    /// Reads an event that has its time.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        try self.init(decoding: bytes, contentType: contentType, receivedAt: nil)
    }

    /// Reads an event; one without a time happened when it was received.
    ///
    /// - Parameters:
    ///   - bytes: the record's value, or the body of a request.
    ///   - contentType: the `content-type` header; see `ContentType`.
    ///   - receivedAt: milliseconds since 1970, taken where the event has no time of its own: the record's timestamp
    ///     for a record of the log, the present for a request. With nil an event without a time is an error.
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    public init(decoding bytes: [UInt8], contentType: String?, receivedAt: Int64?) throws(MessageError) {
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf:
            try self.init(protobuf: bytes, receivedAt: receivedAt)
            try validate()
        case .json:
            var unknown = UnknownFields(.ignored)
            self = try CheckedEvent(json: bytes, 0..<bytes.count, receivedAt: receivedAt, unknown: &unknown).event
        }
    }

    private init(protobuf bytes: [UInt8], receivedAt: Int64?) throws(MessageError) {
        let pointer = try unpacked(bytes, "Event", userllm__event__unpack)
        defer { userllm__event__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        guard let time = message.has_time != 0 ? message.time : receivedAt else { throw Self.missingTime }
        self.init(
            id: message.has_id != 0 ? try message.id.text("id") : nil,
            user: try message.user.id("user"),
            item: try message.item.id("item"),
            type: message.has_type != 0 ? try message.type.text("type") : nil,
            rating: message.has_rating != 0 ? message.rating : nil,
            categories: try texts(message.categories, message.n_categories, "categories"),
            text: message.has_text != 0 ? try message.text.text("text") : nil,
            time: time
        )
    }

    private static let missingTime = MessageError(
        field: "time",
        reason: "is missing: send milliseconds since 1970"
    )

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(user, "user")
        try Check.identifier(item, "item")
        if let id { try Check.identifier(id, "event_id") }
        if let type { try Check.text(type, "type", limit: Limits.nameByteCount) }
        if let rating { try Check.finite(rating, "rating") }
        if !categories.isEmpty { try Check.categories(categories, "categories") }
        if let text { try Check.text(text, "text", limit: Limits.textByteCount) }
        try Check.time(time, "time")
        guard !Timestamp.looksLikeSeconds(time) else {
            throw MessageError(
                field: "time",
                reason:
                    "\(time) is \(Timestamp.text(time)) in milliseconds since 1970, and looks like seconds: multiply it "
                    + "by 1,000 (no event may have happened from \(Timestamp.text(TimeUnit.seconds.plausible.lowerBound)) to "
                    + "\(Timestamp.text(TimeUnit.seconds.plausible.upperBound)))"
            )
        }
    }
}
