import Bytes
import Messages
import EmbeddingStore
import Flows
import MessageLogs
import Testing

@testable import EmbeddingWriter
@testable import UserModels

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
            appendedAt: 1_000,
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

    private static func reduced(_ entries: [EmbeddingBatch.Entry]) -> (rows: [UserEmbedding], deletions: [UserID]) {
        let change = EmbeddingBatch.Change(entries)
        return (change.rows.embeddings, change.deletions)
    }

    private func reduced(_ steps: [UserEmbedding?], user: UserID = "ann") throws -> (
        rows: [UserEmbedding], deletions: [UserID]
    ) {
        let records = try steps.enumerated().map { try Self.record($1, user: user, offset: Int64($0)) }
        return Self.reduced(EmbeddingBatch(records).entries)
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

    /// PostgreSQL would refuse them, one by one.
    @Test func deletionsOfWhatIsNoIDAreRejected() throws {
        let keys: [UserID] = ["a\0b", UserID(String(repeating: "u", count: 513)), "ann"]
        let records = try keys.enumerated().map { try Self.record(nil, user: $1, offset: Int64($0)) }
        let batch = EmbeddingBatch(records)
        #expect(batch.entries.map(\.user) == ["ann"] && batch.rejections.map(\.record.offset) == [0, 1])
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
        var (rows, deletions) = Self.reduced(EmbeddingBatch(records).entries)
        #expect(Set(rows.map(\.user)) == Set(users) && rows.count == 4 && deletions.isEmpty)
        // Forgetting one leaves the other.
        records.append(try Self.record(nil, user: users[0], offset: 4))
        (rows, deletions) = Self.reduced(EmbeddingBatch(records).entries)
        #expect(rows.map(\.user) == [users[1]] && deletions == [users[0]])
        // The value of one under the key of the other is refused.
        let foreign = try Self.record(Self.embedding(users[0], count: 1), user: users[1], offset: 5)
        #expect(EmbeddingBatch([foreign]).rejections.count == 1)
    }

    private static let limits = EmbeddingLimits(
        shape: ModelBundle.ContextShape(version: "v1", rows: 1, columns: 2),
        extent: EventEnds.Extent(partitionCount: 2, ends: [0: 10])
    )

    private static func changed(_ change: (inout UserEmbedding) -> Void) -> UserEmbedding {
        var embedding = embedding("ann", count: 5)
        change(&embedding)
        return embedding
    }

    /// Whoever may write to the topic may have written them.
    @Test(arguments: [
        EmbeddingBatchTests.changed {
            $0.columns = 3
            $0.context = [1, 2, 3]
        },
        EmbeddingBatchTests.changed {
            $0.rows = 2
            $0.context = [1, 2, 3, 4]
        },
        EmbeddingBatchTests.changed { $0.pooled = [1] }, EmbeddingBatchTests.changed { $0.pooled = [] },
        EmbeddingBatchTests.changed { $0.sourcePartition = 2 },
        EmbeddingBatchTests.changed { $0.sourcePartition = .max },
        EmbeddingBatchTests.changed { $0.eventCount = UInt64(Int64.max) },
        EmbeddingBatchTests.changed { $0.eventCount = 1_000_010 },
        EmbeddingBatchTests.changed { $0.sourceOffset = .max },
        EmbeddingBatchTests.changed { $0.sourceOffset = 1_000_010 },
    ])
    func whatNoModelAndNoLogHaveMadeIsRejected(embedding: UserEmbedding) throws {
        var batch = EmbeddingBatch([
            try Self.record(embedding, user: "ann", offset: 0),
            try Self.record(Self.embedding("ann", count: 6), user: "ann", offset: 1),
            try Self.record(nil, user: "bob", offset: 2),
        ])
        batch.hold(to: Self.limits)
        #expect(batch.rejections.map(\.record.offset) == [0] && batch.entries.map(\.record.offset) == [1, 2])
    }

    @Test(arguments: [
        EmbeddingBatchTests.changed { $0.eventCount = 1_000_009 },
        EmbeddingBatchTests.changed { $0.sourceOffset = 1_000_009 },
        EmbeddingBatchTests.changed { $0.sourcePartition = 1 },
        // Another version's shape is another one.
        EmbeddingBatchTests.changed {
            $0.modelVersion = "v0"
            $0.columns = 3
            $0.context = [1, 2, 3]
        },
    ])
    func whatCanBeIsTaken(embedding: UserEmbedding) throws {
        var batch = EmbeddingBatch([try Self.record(embedding, user: "ann", offset: 0)])
        batch.hold(to: Self.limits)
        #expect(batch.rejections.isEmpty)
    }

    /// They are no embeddings at all: no row, and no later embedding, could follow them.
    @Test(arguments: [
        EmbeddingBatchTests.changed { $0.generation = .max }, EmbeddingBatchTests.changed { $0.generation = 1_000_001 },
        EmbeddingBatchTests.changed { $0.eventCount = .max },
        EmbeddingBatchTests.changed { $0.pooled = [Float](repeating: 0, count: 65_536) },
    ])
    func whatCannotBeFollowedIsNotWrittenAtAll(embedding: UserEmbedding) {
        #expect(throws: MessageError.self) { try embedding.encoded() }
    }

    @Test func theLogIsAskedOnlyAboutWhatIsFarPastIt() {
        let claims = EmbeddingLimits.claims([
            Self.changed { $0.sourceOffset = 9 }, Self.changed { $0.eventCount = 1_000_500 },
            Self.changed { $0.sourcePartition = 1 },
        ])
        #expect(claims == [0: 500, 1: -999_995])
    }
}
