import Bytes
import Messages
import Flows
import UserModels

/// What an embedding may claim: whoever may write to the topic may have written it.
///
/// One of another shape than the model's would be a row that nobody can read, and one with a count that the log cannot have
/// had would keep out all that come after it.
struct EmbeddingLimits: Sendable {
    /// How much further than the log a count may be, for a topic that was made anew, and before the log is asked again.
    static let slack: Int64 = 1_000_000

    /// The shape of the model in use; nil where the writer was not told.
    let shape: ModelBundle.ContextShape?
    /// How far the log reaches.
    let extent: EventEnds.Extent

    /// For each partition of `user-events` how far embeddings claim it to reach, beyond what they may.
    static func claims(_ embeddings: some Sequence<UserEmbedding>) -> [Int32: Int64] {
        var claims: [Int32: Int64] = [:]
        for embedding in embeddings {
            let claim = claim(embedding)
            claims[embedding.sourcePartition] = max(claims[embedding.sourcePartition] ?? .min, claim)
        }
        return claims
    }

    /// Neither is negative, so the difference is a number.
    private static func claim(_ embedding: UserEmbedding) -> Int64 {
        max(embedding.sourceOffset, Int64(clamping: embedding.eventCount)) - slack
    }

    /// Refuses an embedding that claims too much.
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
