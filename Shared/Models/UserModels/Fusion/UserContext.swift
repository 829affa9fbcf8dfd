public import Messages

/// What an answer may know of its user: the output of the encoder for a timeline.
public struct UserContext: Sendable, Equatable {
    /// The rows that the language model reads, shape [rows, columns], row-major.
    public var rows: [Float]
    /// The vector that the encoder's head scores items with, shape [columns].
    ///
    /// Empty, or of zeros only, when nothing is known of the user: then the language model answers alone.
    public var pooled: [Float]
    /// The items that the user has had: answers leave them out, unless asked otherwise.
    public var seenItems: SeenItems

    /// Combines rows, vector and items.
    public init(rows: [Float], pooled: [Float] = [], seenItems: SeenItems = SeenItems()) {
        self.rows = rows
        self.pooled = pooled
        self.seenItems = seenItems
    }

    /// The context of a user who was just encoded.
    public init(_ encoded: EncodedUser) { self.init(rows: encoded.context, pooled: encoded.pooled) }

    /// The context in a user's row.
    public init(_ row: UserEmbedding) {
        self.init(rows: row.context, pooled: row.pooled, seenItems: row.seenItems)
    }
}
