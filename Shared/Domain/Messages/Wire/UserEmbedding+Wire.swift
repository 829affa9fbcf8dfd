import CMessages
internal import Bytes
internal import JSON

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
        message.has_appended_at = 1
        message.appended_at = appendedAt
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
        switch try ContentType(header: contentType, value: bytes) {
        case .protobuf: try self.init(protobuf: bytes)
        case .json:
            self = try decodedJSON(bytes) { scanner throws(JSONError) in try UserEmbedding(&scanner) }
        }
        try validate()
    }

    private init(protobuf bytes: [UInt8]) throws(MessageError) {
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
            pooled: try message.pooled.numbers("pooled")
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
        guard pooled.count <= 65_535 else {
            throw MessageError(field: "pooled", reason: "has \(pooled.count) numbers: send at most 65535")
        }
        try Check.finite(pooled, "pooled")
    }
}

/// An embedding's JSON form.
private struct UserEmbeddingJSON: Encodable {
    let user: UserID
    let modelVersion: String
    let generation: UInt32
    let eventCount: UInt64
    let sourcePartition: Int32
    let sourceOffset: Int64
    let appendedAt: Int64
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
        case appendedAt = "appended_at"
    }

    init(_ embedding: UserEmbedding) {
        user = embedding.user
        modelVersion = embedding.modelVersion
        generation = embedding.generation
        eventCount = embedding.eventCount
        sourcePartition = embedding.sourcePartition
        sourceOffset = embedding.sourceOffset
        appendedAt = embedding.appendedAt
        rows = embedding.rows
        columns = embedding.columns
        context = embedding.context
        pooled = embedding.pooled
    }
}

extension UserEmbedding {
    private enum Field: Int {
        case user, modelVersion, generation, eventCount, sourcePartition, sourceOffset, appendedAt, rows, columns,
            context
        case pooled
    }

    /// In the order of `Field`.
    private static let fields = FieldNames(
        of: "a user embedding",
        [
            ["user", "user_id", "userId"], ["model_version"], ["generation"], ["event_count"], ["source_partition"],
            ["source_offset"], ["appended_at"], ["rows"], ["columns"], ["context"], ["pooled"],
        ]
    )

    private init(_ scanner: inout JSONScanner) throws(JSONError) {
        var (user, modelVersion): (UserID?, String?)
        var (generation, eventCount): (UInt32?, UInt64?)
        var (sourcePartition, sourceOffset, appendedAt): (Int32?, Int64?, Int64?)
        var (rows, columns): (Int?, Int?)
        var (context, pooled): ([Float]?, [Float]?)
        var unknown = UnknownFields(.ignored)
        try scanner.readObject(Self.fields, unknown: &unknown) { field, scanner throws(JSONError) in
            switch Field(rawValue: field) {
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
            case nil: break
            }
        }
        let number = "a whole number from 0"
        self.init(
            user: try required(user, "user", "a string"),
            modelVersion: try required(modelVersion, "model_version", "a string"),
            generation: generation ?? 0,
            eventCount: try required(eventCount, "event_count", number),
            sourcePartition: try required(sourcePartition, "source_partition", number),
            sourceOffset: try required(sourceOffset, "source_offset", number),
            appendedAt: try required(appendedAt, "appended_at", "milliseconds since 1970"),
            rows: try required(rows, "rows", number),
            columns: try required(columns, "columns", number),
            context: try required(context, "context", "an array of numbers"),
            pooled: pooled ?? []
        )
    }
}
