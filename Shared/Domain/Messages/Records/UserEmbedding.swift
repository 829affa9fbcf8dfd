public import Bytes

/// What a model knows of one user after a number of events.
///
/// Topic `user-embeddings`, compacted; key: the user's id. Written by the encoder worker, read by the embedding writer.
/// Of two records of one user and model version, the one with the greater (`generation`, `eventCount`) wins.
public struct UserEmbedding: Sendable, Equatable {
    /// Whose embedding it is.
    public var user: UserID
    /// The version of the model bundle that made it.
    public var modelVersion: String
    /// The number of the rebuild that made it.
    public var generation: UInt32
    /// How many events it includes.
    public var eventCount: UInt64
    /// Partition of `user-events` of the last event it includes.
    public var sourcePartition: Int32
    /// Offset of that event.
    public var sourceOffset: Int64
    /// When that event was appended to the log, in milliseconds since 1970.
    public var appendedAt: Int64
    /// Number of context vectors.
    public var rows: Int
    /// Width of each context vector.
    public var columns: Int
    /// The context that the language model reads, shape [rows, columns], row-major.
    public var context: [Float]
    /// One vector for similarity search, of the encoder's width.
    public var pooled: [Float]
    /// Items that the user has had, in the model version's catalogue; answers leave them out.
    ///
    /// Rows of earlier versions know none.
    public var seenItems: SeenItems

    /// Makes an embedding.
    public init(
        user: UserID,
        modelVersion: String,
        generation: UInt32,
        eventCount: UInt64,
        sourcePartition: Int32,
        sourceOffset: Int64,
        appendedAt: Int64,
        rows: Int,
        columns: Int,
        context: [Float],
        pooled: [Float],
        seenItems: SeenItems = SeenItems()
    ) {
        self.user = user
        self.modelVersion = modelVersion
        self.generation = generation
        self.eventCount = eventCount
        self.sourcePartition = sourcePartition
        self.sourceOffset = sourceOffset
        self.appendedAt = appendedAt
        self.rows = rows
        self.columns = columns
        self.context = context
        self.pooled = pooled
        self.seenItems = seenItems
    }
}
