import Bytes
import Messages
import MessageLogs
import Testing

@testable import LLMResponder

@Suite struct ParkedQuestionsTests {
    private static let partition = TopicPartition(Topic.questions.rawValue, 0)

    private func question(
        _ offset: Int64,
        _ user: String = "ann",
        knowing count: UInt64 = 1,
        deadline: Int64 = 1_000,
        in partition: TopicPartition = Self.partition
    ) -> PlacedQuestion {
        let question = Question(
            id: QuestionID("q\(offset)"),
            user: UserID(user),
            text: "What now?",
            minimumEventCount: count,
            askedAt: 0,
            deadline: deadline
        )
        let record = Record(source: partition, offset: offset, timestamp: 1, key: nil, value: nil)
        return PlacedQuestion(question, in: record, now: 1)
    }

    @Test func thoseThatEndFirstComeFirstAndTheRestStays() {
        var parked = ParkedQuestions(limit: ParkingLimit(count: 100, byteCount: 1 << 20))
        for (offset, deadline) in [(5, 300), (6, 100), (7, 200), (8, 100), (9, 400)] as [(Int64, Int64)] {
            parked.park(question(offset, deadline: deadline))
        }
        #expect(parked.nextDue == 100 && parked.first(in: Self.partition) == 5)
        #expect(parked.takeExpired(250, atMost: 2).map(\.place.offset) == [6, 8])
        #expect(parked.takeExpired(250, atMost: 2).map(\.place.offset) == [7])
        #expect(parked.takeExpired(250, atMost: 2).isEmpty && parked.count == 2 && parked.nextDue == 300)
        parked.remove(question(5).place)
        #expect(parked.first(in: Self.partition) == 9)
        #expect(parked.drop([Self.partition]) == ["ann"])
        #expect(parked.count == 0 && parked.byteCount == 0 && parked.nextDue == nil)
        #expect(parked.first(in: Self.partition) == nil && parked.leastEventCount(of: "ann") == nil)
    }

    /// Ids are bytes: two that look alike are two users.
    @Test func aRowWakesThoseOfItsUserForWhichItIsEnough() {
        var parked = ParkedQuestions(limit: ParkingLimit(count: 100, byteCount: 1 << 20))
        let (composed, decomposed) = ("jos\u{e9}", "jose\u{301}")
        for (offset, count) in [(1, 7), (2, 3), (3, 5)] as [(Int64, UInt64)] {
            parked.park(question(offset, composed, knowing: count))
        }
        parked.park(question(4, decomposed, knowing: 1))
        #expect(parked.leastEventCount(of: UserID(composed)) == 3)
        #expect(parked.places(of: UserID(composed), knowing: 5).map(\.offset) == [2, 3])
        #expect(parked.places(of: UserID(decomposed), knowing: .max).map(\.offset) == [4])
        parked.remove(question(2, composed).place)
        #expect(parked.leastEventCount(of: UserID(composed)) == 5)
    }

    @Test func theSameQuestionWaitsOnceAndOnlySoManyDo() {
        var parked = ParkedQuestions(limit: ParkingLimit(count: 2, byteCount: 1 << 20))
        let first = question(1)
        parked.park(first)
        parked.park(first)
        #expect(parked.count == 1 && parked.contains(first.key) && !parked.contains(question(2).key))
        #expect(parked.hasRoom(for: question(2)))
        parked.park(question(2))
        #expect(!parked.hasRoom(for: question(3)))
        let small = ParkedQuestions(limit: ParkingLimit(count: 2, byteCount: first.byteCount - 1))
        #expect(!small.hasRoom(for: first))
    }

    @Test func readyOnesAreTakenOnceAndOnlyWhileTheyAreParked() {
        var state = RespondingState(parking: ParkingLimit(count: 10, byteCount: 1 << 20))
        state.begin(Self.partition, RestoredQuestions(start: 1))
        for offset in Int64(1)...4 { state.parked.park(question(offset)) }
        state.makeReady([question(1).place, question(2).place, question(1).place, question(3).place])
        #expect(state.takeReady(atMost: 1).map(\.place.offset) == [1])
        state.parked.remove(question(2).place)
        #expect(state.takeReady(atMost: 5).map(\.place.offset) == [3])
        #expect(!state.hasReady)
    }

    /// What is left of a batch goes with its partition; it comes again, and must not be passed over then.
    @Test func theRestOfABatchGoesWithItsPartition() {
        let other = TopicPartition(Topic.questions.rawValue, Self.partition.partition + 1)
        let unheld = TopicPartition(Topic.questions.rawValue, Self.partition.partition + 2)
        func record(_ partition: TopicPartition, _ offset: Int64) -> Record {
            Record(source: partition, offset: offset, timestamp: 0, key: nil, value: nil)
        }
        var state = RespondingState(parking: ParkingLimit(count: 10, byteCount: 1 << 20))
        for partition in [Self.partition, other] { state.begin(partition, RestoredQuestions(start: 1)) }
        let records = [
            record(Self.partition, 1), record(unheld, 1), record(Self.partition, 2), record(other, 1),
            record(Self.partition, 3), record(other, 2),
        ]
        state.take(Batch(records: records))
        state.work.partitions = [Self.partition, other]
        state.advance(past: records[0])
        #expect(state.nextRecord == records[2] && state.offsets == [Self.partition: 2, other: 1])
        _ = state.drop([Self.partition])
        #expect(state.nextRecord == records[3])
        // The one at hand went with its partition, which came back meanwhile.
        state.begin(Self.partition, RestoredQuestions(start: 2))
        state.advance(past: records[2])
        #expect(state.nextRecord == records[3] && state.offsets == [Self.partition: 2, other: 1])
        for index in [3, 5] { state.advance(past: records[index]) }
        #expect(state.nextRecord == nil && state.offsets == [Self.partition: 2, other: 3])
    }

    /// Neither a record's time nor a deadline can make a question wait longer than a day, or break the sum.
    @Test(
        arguments: [
            (1_000, 5_000, 2_000, 5_000), (1_000, .max, 2_000, 86_401_000), (0, .max, 2_000, 86_402_000),
            (-1, .max, 2_000, 86_402_000), (.min, 3_000, 2_000, 3_000), (.max, .max, 2_000, 86_402_000),
            (253_402_300_799_999, 253_402_300_799_999, 2_000, 86_402_000), (1, .max, .max, 86_400_001),
            (.max, .max, .max, .max), (5, .min, 2_000, .min), (1_000, 0, -5, 0),
        ] as [(Int64, Int64, Int64, Int64)]
    )
    func aQuestionEndsADayAfterItCame(appendedAt: Int64, deadline: Int64, now: Int64, due: Int64) {
        let question = Question(id: "q", user: "u", text: "t", askedAt: 0, deadline: deadline)
        #expect(question.due(appendedAt: appendedAt, now: now) == due)
    }
}
