import Bytes
import Messages
import EmbeddingStore
import Flows
import MessageLogs

/// What records of `user-embeddings` come to: the newest row of each user and version, the users to forget, and the
/// records that were none.
struct EmbeddingBatch: Sendable {
    /// A record that can be read.
    struct Entry: Sendable {
        let record: Record
        let user: UserID
        /// Nil forgets the user.
        let embedding: UserEmbedding?
    }

    private struct Key: Hashable {
        let user: UserID
        let modelVersion: TextKey
    }

    /// The records that can be read, in order.
    private(set) var entries: [Entry] = []
    /// Those that cannot.
    private(set) var rejections: [RejectedRecord] = []

    /// Reads records.
    init(_ records: [Record]) {
        for record in records {
            do throws(MessageError) {
                entries.append(try Self.entry(record))
            } catch {
                rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            }
        }
    }

    /// Rejects the embeddings that claim too much.
    mutating func hold(to limits: EmbeddingLimits) {
        entries.removeAll { entry in
            guard let embedding = entry.embedding else { return false }
            do throws(MessageError) {
                try limits.check(embedding)
                return false
            } catch {
                rejections.append(RejectedRecord(entry.record, kind: .decode, reason: error.description))
                return true
            }
        }
    }

    private static func entry(_ record: Record) throws(MessageError) -> Entry {
        // What PostgreSQL would refuse is refused here, where it stops nobody.
        guard let key = record.key, !key.isEmpty, key.count <= Limits.identifierByteCount, !key.contains(0),
            let user = String(validating: key, as: UTF8.self).map({ UserID($0) })
        else {
            throw MessageError(
                field: "key",
                reason: "is not a user's id: UTF-8 of at most \(Limits.identifierByteCount) bytes without NUL"
            )
        }
        guard let value = record.value else { return Entry(record: record, user: user, embedding: nil) }
        let embedding = try UserEmbedding(decoding: value, contentType: record.header(ContentType.header))
        guard embedding.user == user else {
            throw MessageError(field: "user", reason: "is \"\(embedding.user)\" but the record's key is \"\(user)\"")
        }
        return Entry(record: record, user: user, embedding: embedding)
    }

    /// What entries come to in the database.
    struct Change: Sendable {
        /// Rows, the newest of each user and version.
        let embeddings: [UserEmbedding]
        /// The same, ready to be sent.
        let rows: EmbeddingRows
        /// Users to forget, before the rows.
        let deletions: [UserID]

        init(_ entries: [Entry]) {
            (embeddings, deletions) = EmbeddingBatch.reduced(entries)
            rows = EmbeddingRows(embeddings)
        }
    }

    /// Of each user and version the newest row after the last deletion, and the users that a deletion came for.
    ///
    /// Deletions are to be applied first.
    static func reduced(_ entries: some Sequence<Entry>) -> (rows: [UserEmbedding], deletions: [UserID]) {
        var rows: [Key: UserEmbedding] = [:]
        var deletions: Set<UserID> = []
        for entry in entries {
            guard let embedding = entry.embedding else {
                deletions.insert(entry.user)
                for key in rows.keys where key.user == entry.user { rows[key] = nil }
                continue
            }
            let key = Key(user: embedding.user, modelVersion: TextKey(embedding.modelVersion))
            if let held = rows[key],
                (held.generation, held.eventCount) > (embedding.generation, embedding.eventCount)
            {
                continue
            }
            rows[key] = embedding
        }
        let sorted = rows.sorted { ($0.key.user, $0.key.modelVersion) < ($1.key.user, $1.key.modelVersion) }
        return (sorted.map(\.value), deletions.sorted())
    }
}
