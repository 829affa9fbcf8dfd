import CMessages
internal import Bytes
internal import JSON

extension UserEmbedding: RecordCoding {
    /// The embedding as Protocol Buffers (`user_embedding.proto`).
    func packedUnchecked() -> [UInt8] {
        let memory = MessageMemory(byteCount: 2_048 + (context.count + pooled.count) * 4)
        var message = Userllm__UserEmbedding()
        userllm__user_embedding__init(&message)
        (message.has_user, message.user) = present(memory.bytes(user))
        (message.has_model_version, message.model_version) = present(memory.bytes(modelVersion))
        (message.has_generation, message.generation) = present(generation)
        (message.has_event_count, message.event_count) = present(eventCount)
        (message.has_source_partition, message.source_partition) = present(sourcePartition)
        (message.has_source_offset, message.source_offset) = present(sourceOffset)
        (message.has_appended_at, message.appended_at) = present(appendedAt)
        (message.has_rows, message.rows) = present(UInt32(rows))
        (message.has_columns, message.columns) = present(UInt32(columns))
        (message.has_context, message.context) = present(memory.bytes(context))
        (message.has_pooled, message.pooled) = present(memory.bytes(pooled))
        if !seenItems.numbers.isEmpty {
            (message.has_seen_items, message.seen_items) = present(memory.bytes(seenItems.coded))
        }
        return packed(message, memory)
    }

    init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "UserEmbedding", userllm__user_embedding__unpack)
        defer { userllm__user_embedding__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        self.init(
            user: try message.user.id("user"),
            modelVersion: try message.model_version.text("model_version"),
            generation: message.generation,
            eventCount: message.event_count,
            sourcePartition: message.source_partition,
            sourceOffset: message.source_offset,
            appendedAt: message.appended_at,
            rows: Int(message.rows),
            columns: Int(message.columns),
            context: try message.context.numbers("context"),
            pooled: try message.pooled.numbers("pooled"),
            seenItems: try SeenItems(coded: message.seen_items.bytes)
        )
    }

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(user, "user")
        try Check.identifier(modelVersion, "model_version")
        try Check.range(generation, 0...Limits.generation, "generation")
        try Check.count(eventCount, "event_count")
        try Check.range(sourcePartition, 0...Int32.max, "source_partition")
        try Check.range(sourceOffset, 0...Int64.max, "source_offset")
        try Check.time(appendedAt, "appended_at")
        try Check.range(rows, 1...65_535, "rows")
        try Check.range(columns, 1...65_535, "columns")
        guard context.count == rows * columns else {
            throw MessageError(
                field: "context",
                reason: "has \(context.count) numbers: send rows * columns, which is \(rows) * \(columns)"
            )
        }
        try Check.finite(context, "context")
        try Check.size(pooled.count, of: "numbers", atMost: 65_535, "pooled")
        try Check.finite(pooled, "pooled")
        try Check.size(seenItems.numbers.count, of: "numbers", atMost: Limits.seenItemCount, "seen_items")
    }
}

extension UserEmbedding {
    enum Field: String, ObjectField {
        static let object = "a user embedding"

        case user
        case modelVersion = "model_version"
        case generation
        case eventCount = "event_count"
        case sourcePartition = "source_partition"
        case sourceOffset = "source_offset"
        case appendedAt = "appended_at"
        case rows, columns, context, pooled
        case seenItems = "seen_items"

        var otherNames: [String] { self == .user ? UserID.otherFieldNames : [] }
    }

    private static let fields = ObjectFields<Field>()

    func write(to json: inout KeyedEncodingContainer<Field>) throws {
        try json.encode(user, forKey: .user)
        try json.encode(modelVersion, forKey: .modelVersion)
        try json.encode(generation, forKey: .generation)
        try json.encode(eventCount, forKey: .eventCount)
        try json.encode(sourcePartition, forKey: .sourcePartition)
        try json.encode(sourceOffset, forKey: .sourceOffset)
        try json.encode(appendedAt, forKey: .appendedAt)
        try json.encode(rows, forKey: .rows)
        try json.encode(columns, forKey: .columns)
        try json.encode(context, forKey: .context)
        try json.encode(pooled, forKey: .pooled)
        if !seenItems.numbers.isEmpty { try json.encode(seenItems.numbers, forKey: .seenItems) }
    }

    init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (user, modelVersion): (UserID?, String?)
        var (generation, eventCount): (UInt32, UInt64?) = (0, nil)
        var (sourcePartition, sourceOffset, appendedAt): (Int32?, Int64?, Int64?)
        var (rows, columns): (Int?, Int?)
        var (context, pooled): ([Float]?, [Float]) = (nil, [])
        var seenItems: [UInt32] = []
        try scanner.readObject(Self.fields) { field, scanner throws(JSONError) in
            switch field {
            case .user: user = try scanner.identifier()
            case .modelVersion: modelVersion = try scanner.string()
            case .generation: generation = try scanner.integer()
            case .eventCount: eventCount = try scanner.integer()
            case .sourcePartition: sourcePartition = try scanner.integer()
            case .sourceOffset: sourceOffset = try scanner.integer()
            case .appendedAt: appendedAt = try scanner.ownTime()
            case .rows: rows = try scanner.integer()
            case .columns: columns = try scanner.integer()
            case .context: context = try scanner.readArray { scanner throws(JSONError) in try scanner.float() }
            case .pooled: pooled = try scanner.readArray { scanner throws(JSONError) in try scanner.float() }
            case .seenItems: seenItems = try scanner.readArray { scanner throws(JSONError) in try scanner.integer() }
            }
        }
        let number = "a whole number from 0"
        self.init(
            user: try Field.user.required(user, "a string"),
            modelVersion: try Field.modelVersion.required(modelVersion, "a string"),
            generation: generation,
            eventCount: try Field.eventCount.required(eventCount, number),
            sourcePartition: try Field.sourcePartition.required(sourcePartition, number),
            sourceOffset: try Field.sourceOffset.required(sourceOffset, number),
            appendedAt: try Field.appendedAt.required(appendedAt, "milliseconds since 1970"),
            rows: try Field.rows.required(rows, number),
            columns: try Field.columns.required(columns, number),
            context: try Field.context.required(context, "an array of numbers"),
            pooled: pooled,
            seenItems: SeenItems(seenItems)
        )
    }
}
