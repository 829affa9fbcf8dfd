import Messages
import StreamProcessing
import Streams
import Testing

@testable import EmbeddingWriter

@Suite struct EmbeddingBatchTests {
    static func embedding(_ user: String, count: UInt64, version: String = "v1", generation: UInt32 = 0)
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

    static func record(_ embedding: UserEmbedding?, user: String, offset: Int64) throws -> Record {
        Record(
            source: TopicPartition(Topic.userEmbeddings.rawValue, 0),
            offset: offset,
            timestamp: 0,
            key: Array(user.utf8),
            value: try embedding?.encoded()
        )
    }

    private func reduced(_ steps: [UserEmbedding?], user: String = "ann") throws -> (
        rows: [UserEmbedding], deletions: [String]
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
}
