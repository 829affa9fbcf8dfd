import Bytes
import Messages
import EmbeddingStore
import Flows
import MessageLogs

/// The effect of a batch of `user-embeddings` records: the newest row per user and version, the users to delete, and
/// the rejected records.
struct EmbeddingBatch: Sendable {
    /// A record that could be decoded.
    struct Entry: Sendable {
        let record: Record
        let user: UserID
        /// Nil deletes the user.
        let embedding: UserEmbedding?
    }

    /// The decoded records, in order.
    private(set) var entries: [Entry] = []
    /// The rejected records.
    private(set) var rejections: [RejectedRecord] = []

    /// Decodes records.
    init(_ records: [Record]) {
        for record in records {
            do throws(MessageError) {
                entries.append(try Self.entry(record))
            } catch {
                rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            }
        }
    }

    /// Rejects embeddings whose claims exceed the limits.
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
        // Reject here what PostgreSQL would refuse, so that one bad record does not block the rest.
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

    /// The database changes that entries amount to.
    struct Change: Sendable {
        /// The newest row per user and version after the last deletion, ready to send.
        let rows: EmbeddingRows
        /// Users to delete, each once; deletions are applied before the rows.
        let deletions: [UserID]

        init(_ entries: [Entry]) {
            var lastDeletions: [UserID: Int] = [:]
            for (index, entry) in entries.enumerated() where entry.embedding == nil {
                lastDeletions[entry.user] = index
            }
            let embeddings = entries.enumerated().compactMap { index, entry in
                index > lastDeletions[entry.user] ?? -1 ? entry.embedding : nil
            }
            rows = EmbeddingRows(embeddings)
            deletions = Array(lastDeletions.keys)
        }
    }
}
