import CMessages

extension UserEmbedding: WireRecord {
    /// The embedding as Protocol Buffers (`user_embedding.proto`).
    public func encoded() throws(MessageError) -> [UInt8] {
        try validate()
        let memory = MessageMemory(byteCount: 2_048 + (context.count + pooled.count) * 4)
        var message = Userllm__UserEmbedding()
        userllm__user_embedding__init(&message)
        message.has_user = 1
        message.user = memory.bytes(user)
        message.has_model_version = 1
        message.model_version = memory.bytes(modelVersion)
        message.has_generation = 1
        message.generation = generation
        message.has_event_count = 1
        message.event_count = eventCount
        message.has_source_partition = 1
        message.source_partition = sourcePartition
        message.has_source_offset = 1
        message.source_offset = sourceOffset
        message.has_event_time = 1
        message.event_time = eventTime
        message.has_rows = 1
        message.rows = UInt32(rows)
        message.has_columns = 1
        message.columns = UInt32(columns)
        message.has_context = 1
        message.context = memory.bytes(context)
        message.has_pooled = 1
        message.pooled = memory.bytes(pooled)
        return packed(message, memory)
    }

    /// The embedding as JSON, for people and tools.
    public func encodedJSON() throws(MessageError) -> [UInt8] {
        try validate()
        return try Messages.encodedJSON(UserEmbeddingJSON(self))
    }

    /// Reads an embedding.
    public init(decoding bytes: [UInt8], contentType: String?) throws(MessageError) {
        switch try ContentType(header: contentType) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json: self = try decodedJSON(UserEmbeddingJSON.self, bytes, "user embedding").embedding
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
        let pointer = try unpacked(bytes, "UserEmbedding", userllm__user_embedding__unpack)
        defer { userllm__user_embedding__free_unpacked(pointer, nil) }
        let message = pointer.pointee
        self.init(
            user: try message.user.text("user"),
            modelVersion: try message.model_version.text("model_version"),
            generation: message.generation,
            eventCount: message.event_count,
            sourcePartition: message.source_partition,
            sourceOffset: message.source_offset,
            eventTime: message.event_time,
            rows: Int(message.rows),
            columns: Int(message.columns),
            context: try message.context.numbers("context"),
            pooled: try message.pooled.numbers("pooled")
        )
    }

    /// Checks sizes and ranges.
    public func validate() throws(MessageError) {
        try Check.identifier(user, "user")
        try Check.identifier(modelVersion, "model_version")
        // The database holds it as a signed 32-bit integer.
        try Check.range(generation, 0...UInt32(Int32.max), "generation")
        try Check.count(eventCount, "event_count")
        try Check.range(sourcePartition, 0...Int32.max, "source_partition")
        try Check.range(sourceOffset, 0...Int64.max, "source_offset")
        try Check.time(eventTime, "event_time")
        try Check.range(rows, 1...65_535, "rows")
        try Check.range(columns, 1...65_535, "columns")
        guard context.count == rows * columns else {
            throw MessageError(
                field: "context",
                reason: "has \(context.count) numbers: send rows * columns, which is \(rows) * \(columns)"
            )
        }
        try Check.finite(context, "context")
        try Check.finite(pooled, "pooled")
    }
}

/// An embedding's JSON form.
private struct UserEmbeddingJSON: Codable {
    let user: String
    let modelVersion: String
    let generation: UInt32
    let eventCount: UInt64
    let sourcePartition: Int32
    let sourceOffset: Int64
    let eventTime: JSONTime
    let rows: Int
    let columns: Int
    let context: [Float]
    let pooled: [Float]

    enum CodingKeys: String, CodingKey {
        case user, generation, rows, columns, context, pooled
        case modelVersion = "model_version"
        case eventCount = "event_count"
        case sourcePartition = "source_partition"
        case sourceOffset = "source_offset"
        case eventTime = "event_time"
    }

    init(_ embedding: UserEmbedding) {
        user = embedding.user
        modelVersion = embedding.modelVersion
        generation = embedding.generation
        eventCount = embedding.eventCount
        sourcePartition = embedding.sourcePartition
        sourceOffset = embedding.sourceOffset
        eventTime = JSONTime(embedding.eventTime)
        rows = embedding.rows
        columns = embedding.columns
        context = embedding.context
        pooled = embedding.pooled
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let number = "a whole number from 0"
        user = try fields.required(String.self, .user, "a string")
        modelVersion = try fields.required(String.self, .modelVersion, "a string")
        generation = try fields.optional(UInt32.self, .generation, number) ?? 0
        eventCount = try fields.required(UInt64.self, .eventCount, number)
        sourcePartition = try fields.required(Int32.self, .sourcePartition, number)
        sourceOffset = try fields.required(Int64.self, .sourceOffset, number)
        eventTime = try fields.required(JSONTime.self, .eventTime, JSONTime.expected)
        rows = try fields.required(Int.self, .rows, number)
        columns = try fields.required(Int.self, .columns, number)
        context = try fields.required([Float].self, .context, "an array of numbers")
        pooled = try fields.optional([Float].self, .pooled, "an array of numbers") ?? []
    }

    var embedding: UserEmbedding {
        UserEmbedding(
            user: user,
            modelVersion: modelVersion,
            generation: generation,
            eventCount: eventCount,
            sourcePartition: sourcePartition,
            sourceOffset: sourceOffset,
            eventTime: eventTime.milliseconds,
            rows: rows,
            columns: columns,
            context: context,
            pooled: pooled
        )
    }
}
