import Bytes
import Messages
import PostgresClient
import PostgresLogs
import Flows
import MessageLogs
import TestSupport
import Testing

@testable import LLMResponder

@Suite struct AnsweredQuestionsTests {
    private static let partition = TopicPartition(Topic.questions.rawValue, 0)

    /// A log with as many questions in its one partition, and the group's offset among them.
    private func log(questions count: Int, committed: Int64? = nil) async throws -> PostgresLog {
        let log = try await PostgresLog(address: try PrivatePostgres.shared().makeDatabase())
        try await log.createTopics(TopicSpecification.system(partitionCount: 1))
        let records = (0..<count).map { _ in OutgoingRecord(topic: Topic.questions.rawValue, key: [1], value: [1]) }
        if count > 0 { try await log.append(records) }
        guard let committed else { return log }
        let subscription = try await log.subscribe(
            SubscriptionOptions(
                topics: [Topic.questions.rawValue],
                membership: .group(ConsumerGroup.llmResponder),
                memberName: "operator"
            )
        )
        while let event = try await subscription.next() {
            guard case .assigned = event else { continue }
            try await subscription.commit([Self.partition: committed], producing: [])
            break
        }
        await subscription.close()
        return log
    }

    private func placed(_ id: String, at offset: Int64) -> PlacedQuestion {
        let question = Question(
            id: QuestionID(id),
            user: "ann",
            text: "What now?",
            askedAt: 0,
            deadline: 1
        )
        let record = Record(source: Self.partition, offset: offset, timestamp: 0, key: [1], value: [])
        return PlacedQuestion(question, in: record, now: 0)
    }

    private func answer(_ id: String, _ offset: Int64, end: Int64) throws -> OutgoingRecord {
        let answer = Answer(
            questionID: QuestionID(id),
            user: "ann",
            status: .answered,
            text: "That.",
            askedAt: 0,
            answeredAt: 1
        )
        let place = PlacedQuestion.Place(partition: Self.partition, offset: offset)
        return try AnswerProgress(end: end).record(answer, to: place, sharesPartitions: true)
    }

    private func restored(_ log: PostgresLog, most: Int = 1_000, least: Int64 = 100) async throws -> RestoredQuestions {
        let found = try await RestoredQuestions.read([Self.partition], from: log, most: most, least: least)
        return try #require(found.partitions[Self.partition])
    }

    private func isAnswered(_ id: String, at offset: Int64, _ restored: RestoredQuestions, appendedAt: Int64 = .max)
        -> Bool
    {
        var answered = AnsweredQuestions()
        answered.begin(Self.partition, restored)
        return answered.contains(placed(id, at: offset), appendedAt: appendedAt)
    }

    @Test func whoTakesOverKnowsTheAnswersThatAreThere() async throws {
        let log = try await log(questions: 20)
        try await log.append([
            try answer("a", 3, end: 4), try answer("b", 5, end: 6),
            // One of an older version, which says nothing, and one that cannot be read.
            OutgoingRecord(topic: Topic.answers.rawValue, key: [1], value: [0xff]),
            OutgoingRecord(
                topic: Topic.answers.rawValue,
                key: [1],
                value: nil,
                headers: [Header("question-source", "0 1")]
            ),
        ])
        let restored = try await restored(log)
        #expect(restored.start == 0 && restored.end == 6)
        #expect(isAnswered("a", at: 3, restored))
        // The same question once more in the log, and others, one of them in a topic that was made anew.
        let now = WallClock.milliseconds
        #expect(isAnswered("b", at: 9, restored, appendedAt: now) && !isAnswered("b", at: 9, restored))
        #expect(
            !isAnswered("c", at: 4, restored, appendedAt: now) && !isAnswered("d", at: 3, restored, appendedAt: now)
        )
        await log.close()
    }

    /// Behind a question that has waited for long lie many answers, more than are looked at in any case.
    @Test func answersAreLookedAtAsFarBackAsTheOffsetDemands() async throws {
        let log = try await log(questions: 600, committed: 100)
        // Those before the offset, then those behind a question that waits there; the last comes out of order.
        let order = Array(Int64(0)..<100) + Array(Int64(101)..<600) + []
        for start in stride(from: 0, to: order.count, by: 50) {
            let part = order[start..<min(start + 50, order.count)]
            let end = (part.last ?? 0) + 1
            try await log.append(
                try part.map { try answer("q\($0)", $0, end: end) }
            )
        }
        for least: Int64 in [1, 7, 100, 10_000] {
            let restored = try await restored(log, least: least)
            #expect(restored.start == 100 && restored.end == 600)
            #expect(!isAnswered("q100", at: 100, restored))
            for offset in Int64(101)..<600 { #expect(isAnswered("q\(offset)", at: offset, restored)) }
        }
        // Memory is bounded whatever the log holds.
        let some = try await restored(log, most: 10, least: 10_000)
        #expect((101..<600).filter { isAnswered("q\($0)", at: $0, some) }.count <= 10)
        await log.close()
    }

    /// Questions are done with that are behind the group or have their answer, whatever a record says of others.
    @Test func noRecordMovesTheStart() async throws {
        let log = try await log(questions: 50, committed: 10)
        for (id, offset) in [("q20", 20), ("q21", 21), ("q22", 22)] as [(String, Int64)] {
            var record = try answer(id, offset, end: 40)
            if offset > 20 {
                // As older responders wrote it: every question before the first number was to be done with.
                record.headers.removeLast()
                record.headers.append(Header("question-progress", "40 50"))
            }
            try await log.append([record])
        }
        let restored = try await restored(log)
        #expect(restored.start == 10)
        for offset in Int64(20)...22 { #expect(isAnswered("q\(offset)", at: offset, restored)) }
        for offset in Int64(10)..<20 { #expect(!isAnswered("q\(offset)", at: offset, restored)) }
        await log.close()
    }

    /// One answer alone, which anybody may have written, does not keep those before it from being seen.
    @Test func oneAnswerAloneDoesNotEndTheLookBack() async throws {
        let log = try await log(questions: 200, committed: 100)
        let honest = try (Int64(101)..<200).map { try answer("q\($0)", $0, end: $0 + 1) }
        try await log.append(Array(honest.prefix(90)))
        // It comes first of the last ten, and says that nothing before it matters.
        try await log.append([try answer("forged", 3, end: 4)])
        try await log.append(Array(honest.suffix(9)))
        let restored = try await restored(log, least: 10)
        for offset in Int64(101)..<200 { #expect(isAnswered("q\(offset)", at: offset, restored)) }
        await log.close()
    }

    @Test func anAnswerUnderTheKeyOfAnotherUserIsNone() async throws {
        let log = try await log(questions: 10)
        var record = try answer("a", 3, end: 4)
        record.key = Array("bob".utf8)
        try await log.append([record])
        #expect(!isAnswered("a", at: 3, try await restored(log)))
        await log.close()
    }

    @Test(arguments: [("1300", 1_300), ("1100 1300", 1_300), ("0", 0), ("", nil), ("-1", nil), ("1 2 3", nil)])
    func progressIsRead(header: String, end: Int64?) {
        let record = Record(
            source: Self.partition,
            offset: 0,
            timestamp: 0,
            key: nil,
            value: nil,
            headers: [Header("question-progress", header)]
        )
        #expect(AnswerProgress(record)?.end == end)
    }

    /// What somebody else may have written to the topic: no number of it breaks a sum or takes memory.
    @Test(arguments: [
        "0 -9223372036854775808", "0 9223372036854775807", "9223372036854775807 3", "-1 3", "0", "", "a b", "0 3 4",
        "0 99999999999999999999", " ", "0  3",
    ])
    func noHeaderBreaksIt(source: String) async throws {
        let log = try await log(questions: 10)
        var record = try answer("q", 3, end: 4)
        for progress in [
            "-9223372036854775808 9223372036854775807", "9223372036854775807 9223372036854775807", "5 4", "x",
            "9223372036854775807", "-1",
        ] {
            record.headers = [Header("question-source", source), Header("question-progress", progress)]
            try await log.append([record])
        }
        let rejection = [
            Header("rejected-topic", Topic.questions.rawValue), Header("rejected-partition", "0"),
            Header("rejected-offset", "-9223372036854775808"),
        ]
        try await log.append([
            OutgoingRecord(topic: Topic.questions.rejected, key: nil, value: [1], headers: rejection)
        ])
        let restored = try await restored(log)
        #expect(restored.start == 0 && restored.end <= 10)
        var answered = AnsweredQuestions()
        answered.begin(Self.partition, restored)
        answered.insert([placed("x", at: 4).key], in: Self.partition, at: .min, position: .max)
        answered.insert([placed("y", at: 5).key], in: Self.partition, at: .max, position: .min)
        #expect(answered.contains(placed("y", at: 9), appendedAt: .max))
        await log.close()
    }

    @Test func whatWasRejectedIsKnown() async throws {
        let log = try await log(questions: 10, committed: 4)
        let rejected = [2, 5, 7].map { (offset: Int64) in
            let record = Record(source: Self.partition, offset: offset, timestamp: 0, key: nil, value: [0xff])
            return RejectedRecord(record, kind: .decode, reason: "bad").outgoing(service: "llm-responder")
        }
        try await log.append(rejected)
        #expect(try await restored(log).rejectedOffsets == [5, 7])
        await log.close()
    }

    @Test func aQuestionMayBeAskedAgainOnceItsAnswerIsOld() {
        var answered = AnsweredQuestions()
        let question = placed("old", at: 1)
        answered.insert([question.key], in: Self.partition, at: 1_000_000, position: 2)
        #expect(answered.contains(question, appendedAt: 900_000))
        #expect(answered.contains(question, appendedAt: 1_600_000))
        #expect(!answered.contains(question, appendedAt: 1_600_001))
        answered.forget([Self.partition])
        #expect(!answered.contains(question, appendedAt: 900_000))
    }
}
