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
        /// The newest row of each user and version that came after the last deletion, ready to be sent.
        let rows: EmbeddingRows
        /// Users that a deletion came for, each once; to be applied before the rows.
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
