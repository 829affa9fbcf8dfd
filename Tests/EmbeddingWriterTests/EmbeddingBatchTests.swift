import Identifiers
import Messages
import StreamProcessing
import Streams
import Testing

@testable import EmbeddingWriter

@Suite struct EmbeddingBatchTests {
    static func embedding(_ user: UserID, count: UInt64, version: String = "v1", generation: UInt32 = 0)
        -> UserEmbedding
    {
        UserEmbedding(
            user: user,
            modelVersion: version,
            generation: generation,
            eventCount: count,
            sourcePartition: 0,
            sourceOffset: Int64(count),
            eventTime: 1_000,
            rows: 1,
            columns: 2,
            context: [Float(count), 2],
            pooled: [3, 4]
        )
    }

    static func record(_ embedding: UserEmbedding?, user: UserID, offset: Int64) throws -> Record {
        Record(
            source: TopicPartition(Topic.userEmbeddings.rawValue, 0),
            offset: offset,
            timestamp: 0,
            key: Array(user.utf8),
            value: try embedding?.encoded()
        )
    }

    private func reduced(_ steps: [UserEmbedding?], user: UserID = "ann") throws -> (
        rows: [UserEmbedding], deletions: [UserID]
    ) {
        let records = try steps.enumerated().map { try Self.record($1, user: user, offset: Int64($0)) }
        return EmbeddingBatch.reduced(EmbeddingBatch(records).entries)
    }

    @Test func keepsTheNewestOfAUserAndVersion() throws {
        let (rows, deletions) = try reduced([
            Self.embedding("ann", count: 3), Self.embedding("ann", count: 5), Self.embedding("ann", count: 4),
            Self.embedding("ann", count: 1, version: "v2"), Self.embedding("ann", count: 1, generation: 1),
        ])
        #expect(deletions == [])
        #expect(rows.map(\.modelVersion) == ["v1", "v2"])
        #expect(rows[0].generation == 1 && rows[0].eventCount == 1)
    }

    @Test func aDeletionTakesWhatWasBeforeAndLeavesWhatComesAfter() throws {
        let gone = try reduced([Self.embedding("ann", count: 3), nil])
        #expect(gone.rows.isEmpty && gone.deletions == ["ann"])
        let anew = try reduced([Self.embedding("ann", count: 3), nil, Self.embedding("ann", count: 1)])
        #expect(anew.rows.map(\.eventCount) == [1])
        #expect(anew.deletions == ["ann"])
    }

    @Test func rejectsWhatIsNoEmbeddingOfItsKey() throws {
        var broken = try Self.record(Self.embedding("ann", count: 1), user: "ann", offset: 0)
        broken.value = [1, 2, 3]
        let foreign = try Self.record(Self.embedding("ann", count: 1), user: "bob", offset: 1)
        var keyless = try Self.record(Self.embedding("ann", count: 1), user: "ann", offset: 2)
        keyless.key = nil
        let batch = EmbeddingBatch([broken, foreign, keyless])
        #expect(batch.entries.isEmpty)
        #expect(batch.rejections.map(\.record.offset) == [0, 1, 2])
    }

    @Test func usersAndVersionsThatDifferInBytesAloneAreDifferent() throws {
        let (composed, decomposed) = ("jos\u{E9}", "jose\u{301}")
        let users = [UserID(composed), UserID(decomposed)]
        var records = try users.enumerated().map {
            try Self.record(Self.embedding($1, count: UInt64($0 + 1)), user: $1, offset: Int64($0))
        }
        records.append(
            try Self.record(Self.embedding(users[0], count: 3, version: composed), user: users[0], offset: 2)
        )
        records.append(
            try Self.record(Self.embedding(users[0], count: 4, version: decomposed), user: users[0], offset: 3)
        )
        var (rows, deletions) = EmbeddingBatch.reduced(EmbeddingBatch(records).entries)
        #expect(Set(rows.map(\.user)) == Set(users) && rows.count == 4 && deletions.isEmpty)
        // Forgetting one leaves the other.
        records.append(try Self.record(nil, user: users[0], offset: 4))
        (rows, deletions) = EmbeddingBatch.reduced(EmbeddingBatch(records).entries)
        #expect(rows.map(\.user) == [users[1]] && deletions == [users[0]])
        // The value of one under the key of the other is refused.
        let foreign = try Self.record(Self.embedding(users[0], count: 1), user: users[1], offset: 5)
        #expect(EmbeddingBatch([foreign]).rejections.count == 1)
    }
}
