import Bytes
import Catalogues
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import UserModels
import UserTimelines

/// A batch of events, what it changed, and the encoded users.
struct EncodedBatch: Sendable {
    let batch: Batch
    let update: TimelineUpdate
    /// One for each changed timeline, in order.
    let encoded: [EncodedUser]
    /// Why the worker must stop after the commit.
    let failure: ProcessFailure?
    /// When processing began.
    let start: ContinuousClock.Instant

    /// Everything the batch produces: marks, deletions, timelines, embeddings, rerouted records, and rejected ones.
    ///
    /// - Parameters:
    ///   - modelVersion: the bundle's version.
    ///   - rows: the rows of a context.
    ///   - columns: the columns of a context.
    ///   - catalogue: the bundle's items, whose numbers the seen ones get.
    /// - Returns: the records; a user's deletion comes before anything that followed it.
    /// - Throws: `MessageError` for marks, or a user, that cannot be written as records.
    func outputs(
        modelVersion: String,
        rows: Int,
        columns: Int,
        catalogue: Catalogue
    ) throws -> [OutgoingRecord] {
        var outputs: [OutgoingRecord] = []
        outputs.reserveCapacity(
            2 * (update.changed.count + update.deleted.count) + update.forgotten.count + update.reroutes.count
                + update.rejections.count
        )
        outputs += update.reroutes.map(\.record)
        // Marks go before the deletions that leave them: whoever sees that a user is gone also sees the marks.
        for (partition, marks) in update.forgotten {
            outputs.append(Self.timelineRecord(ForgottenMarks.key, partition, try marks.encoded()))
        }
        // A user with events after the deletion starts from scratch, so the deletion goes first.
        for (user, partition) in update.deleted {
            outputs.append(Self.timelineRecord(Array(user.utf8), partition, nil))
            outputs.append(Self.embeddingRecord(user, nil))
        }
        for (changed, encoded) in zip(update.changed, encoded) {
            let timeline = changed.timeline
            let embedding = UserEmbedding(
                user: timeline.user,
                modelVersion: modelVersion,
                generation: timeline.generation,
                eventCount: timeline.eventCount,
                sourcePartition: changed.partition,
                sourceOffset: timeline.lastOffset,
                appendedAt: changed.appendedAt,
                rows: rows,
                columns: columns,
                context: encoded.context,
                pooled: encoded.pooled,
                // What the catalogue does not have can be no answer.
                seenItems: SeenItems(timeline.seenItems.compactMap { catalogue.index(of: $0).map { UInt32($0) } })
            )
            outputs.append(
                Self.timelineRecord(Array(timeline.user.utf8), changed.partition, try timeline.encoded())
            )
            outputs.append(Self.embeddingRecord(timeline.user, try embedding.encoded()))
        }
        return outputs + update.rejections.map { $0.outgoing(service: "encoder-worker") }
    }

    /// Timelines go to the partition of the user's events, because a restore looks for them there.
    private static func timelineRecord(_ key: [UInt8], _ partition: Int32, _ value: [UInt8]?) -> OutgoingRecord {
        OutgoingRecord(topic: Topic.userTimelines.rawValue, partition: partition, key: key, value: value)
    }

    private static func embeddingRecord(_ user: UserID, _ value: [UInt8]?) -> OutgoingRecord {
        OutgoingRecord(topic: Topic.userEmbeddings.rawValue, key: Array(user.utf8), value: value)
    }
}
