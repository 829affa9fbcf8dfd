import Identifiers
import Messages
import Postgres
import StreamProcessing
import Streams
import TestSupport
import Testing

@testable import LLMResponder

@Suite struct AnsweredQuestionsTests {
    private static let partition = TopicPartition(Topic.questions.rawValue, 0)

    private func record(_ id: QuestionID, offset: Int64) -> (question: Question, record: Record) {
        let question = Question(id: id, user: "ann", text: "What now?", form: .title, askedAt: 0, deadline: 1)
        let record = Record(source: Self.partition, offset: offset, timestamp: 0, key: [1], value: [])
        return (question, record)
    }

    private func log(partitionCount: Int32 = 1) async throws -> PostgresLog {
        let log = try await PostgresLog(address: try PrivatePostgres.shared().makeDatabase())
        try await log.createTopics(TopicSpecification.system(partitionCount: partitionCount))
        return log
    }

    private func answer(_ id: QuestionID, offset: Int64) throws -> OutgoingRecord {
        let answer = Answer(questionID: id, user: "ann", status: .answered, text: "That.", askedAt: 0, answeredAt: 1)
        return try AnsweredQuestions.record(answer, to: record(id, offset: offset).record)
    }

    private func isAnswered(_ id: QuestionID, at offset: Int64, _ answered: AnsweredQuestions) -> Bool {
        let (question, record) = record(id, offset: offset)
        return answered.contains(question, in: record)
    }

    @Test func whoTakesOverKnowsTheAnswersThatAreThere() async throws {
        let log = try await log()
        try await log.append([try answer("a", offset: 3), try answer("b", offset: 5)])
        // One of an older version, which does not say where its question lies.
        try await log.append([OutgoingRecord(topic: Topic.answers.rawValue, key: [1], value: [0xff])])
        var answered = AnsweredQuestions()
        #expect(try await answered.restore([Self.partition], from: log).isEmpty)
        #expect(isAnswered("a", at: 3, answered))
        // The same question once more in the log, and others, one of them in a topic that was made anew.
        #expect(
            isAnswered("b", at: 9, answered) && !isAnswered("c", at: 4, answered) && !isAnswered("d", at: 3, answered)
        )
        answered.forget([Self.partition])
        #expect(!isAnswered("a", at: 3, answered) && !isAnswered("b", at: 9, answered))
        await log.close()
    }

    /// Who may write answers may write any place of a question into their headers.
    @Test(arguments: [
        "0 -9223372036854775808", "0 -1", "0 9223372036854775808", "99999999999 1", "-1 -1", "0", "", "0 1 2", "x y",
    ])
    func aPlaceThatCannotBeIsNoPlace(header: String) async throws {
        let log = try await log()
        var hostile = try answer("a", offset: 0)
        hostile.headers = [Header(Answer.sourceHeader, header)]
        let good = try answer("b", offset: 9)
        try await log.append([hostile, hostile, hostile, good, good, hostile])
        var answered = AnsweredQuestions(restoredCount: 5, slack: 7)
        #expect(try await answered.restore([Self.partition], from: log) == [Self.partition: 9 - 7])
        #expect(isAnswered("b", at: 9, answered))
        await log.close()
    }

    /// Older answers than were looked at: everything a batch and more before them is behind the group.
    @Test func theFloorIsBeforeTheOldestAnswerThatWasLookedAt() async throws {
        let log = try await log()
        for offset in Int64(0)..<20 { try await log.append([try answer("q\(offset)", offset: 2 * offset)]) }
        var answered = AnsweredQuestions(restoredCount: 5, slack: 7)
        #expect(try await answered.restore([Self.partition], from: log) == [Self.partition: 30 - 7])
        #expect(isAnswered("q15", at: 30, answered) && !isAnswered("q14", at: 28, answered))
        #expect(!isAnswered("waits", at: 31, answered))
        await log.close()
    }

    @Test func aQuestionMayBeAskedAgainOnceItsAnswerIsOld() {
        var answered = AnsweredQuestions()
        let (old, record) = record("old", offset: 1)
        answered.insert([AnsweredQuestions.Key(old)], in: Self.partition, since: .now - .seconds(601))
        #expect(!answered.contains(old, in: record))
        answered.insert([AnsweredQuestions.Key(old)], in: Self.partition)
        #expect(answered.contains(old, in: record))
    }

    @Test func questionsThatDifferInBytesAloneAreDifferent() {
        var answered = AnsweredQuestions()
        answered.insert([AnsweredQuestions.Key(record("\u{E9}", offset: 1).question)], in: Self.partition)
        #expect(isAnswered("\u{E9}", at: 2, answered))
        #expect(!isAnswered("e\u{301}", at: 3, answered))
    }
}
