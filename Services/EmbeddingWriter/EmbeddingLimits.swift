import Bytes
import Messages
import Flows
import UserModels

/// Limits on what an embedding may claim, because anyone with write access to the topic may have produced it.
///
/// An embedding whose shape is not the model's would be a row that nobody can read. One with an event count that the
/// log cannot have reached would block every later row.
struct EmbeddingLimits: Sendable {
    /// How far a count may exceed the end of the log, to allow for a recreated topic and for events since the log was
    /// last asked.
    static let slack: Int64 = 1_000_000

    /// The shape of the model in use; nil if the writer has none configured.
    let shape: ModelBundle.ContextShape?
    /// How far the log reaches.
    let extent: EventEnds.Extent

    /// For each partition of `user-events`, the highest position that embeddings claim, less the slack.
    static func claims(_ embeddings: some Sequence<UserEmbedding>) -> [Int32: Int64] {
        var claims: [Int32: Int64] = [:]
        for embedding in embeddings {
            let claim = claim(embedding)
            claims[embedding.sourcePartition] = max(claims[embedding.sourcePartition] ?? .min, claim)
        }
        return claims
    }

    /// Neither value is negative, so the difference cannot overflow.
    private static func claim(_ embedding: UserEmbedding) -> Int64 {
        max(embedding.sourceOffset, Int64(clamping: embedding.eventCount)) - slack
    }

    /// Refuses an embedding that claims more than the limits allow.
    func check(_ embedding: UserEmbedding) throws(MessageError) {
        if let shape, shape.version == embedding.modelVersion {
            guard embedding.rows == shape.rows, embedding.columns == shape.columns,
                embedding.pooled.count == shape.columns
            else {
                throw MessageError(
                    field: "context",
                    reason:
                        "is \(embedding.rows) x \(embedding.columns) with \(embedding.pooled.count) pooled numbers, and "
                        + "model \(shape.version) makes \(shape.rows) x \(shape.columns) with \(shape.columns)"
                )
            }
        }
        let partition = embedding.sourcePartition
        guard partition < extent.partitionCount else {
            throw MessageError(
                field: "source_partition",
                reason: "is \(partition), and \(Topic.userEvents.rawValue) has \(extent.partitionCount) partitions"
            )
        }
        let end = extent.ends[partition] ?? 0
        guard Self.claim(embedding) < max(end, 1) else {
            throw MessageError(
                field: "event_count",
                reason:
                    "\(embedding.eventCount) up to offset \(embedding.sourceOffset) is more than partition \(partition) of "
                    + "\(Topic.userEvents.rawValue) has had, which ends at \(end)"
            )
        }
    }
}
