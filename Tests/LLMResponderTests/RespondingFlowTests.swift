import Bytes
import Messages
import PostgresClient
import ServiceRuntime
import Flows
import MessageLogs
import TestSupport
import Testing
import UserModels
import Verification

@testable import LLMResponder

/// The flow on a real log, with rows in a real database.
@Suite struct RespondingFlowTests {
    @Test func aQuestionThatIsInTheLogTwiceIsAnsweredOnce() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.write("u1", count: 5)
        // Beside each other, and after others that fill more than a batch.
        for id in ["a", "a", "b", "c", "d", "e", "f", "a", "g"] { try await fixture.ask(id, "u1") }
        try await fixture.whileRunning { _ in
            try await poll("g is answered") { try await fixture.answer("g") != nil }
        }
        let ids = try await fixture.answers().map(\.questionID.text)
        #expect(ids == ["a", "b", "c", "d", "e", "f", "g"])
        // Nor by a responder that takes over.
        for id in ["b", "h"] { try await fixture.ask(id, "u1") }
        try await fixture.whileRunning { _ in
            try await poll("h is answered") { try await fixture.answer("h") != nil }
        }
        #expect(try await fixture.answers().map(\.questionID.text) == ids + ["h"])
        await fixture.close()
    }

    /// As when a broker forgot what was committed: the answers tell what is done with.
    @Test(arguments: TestedLog.available)
    func questionsThatAreReadAgainAreAnsweredOnce(kind: TestedLog) async throws {
        let fixture = try await RespondingFixture(kafka: kind == .kafka)
        try await fixture.write("u1", count: 5)
        let ids = (0..<20).map { "q\($0)" }
        for id in ids { try await fixture.ask(id, "u1") }
        try await fixture.whileRunning { _ in
            try await poll("all are answered") { try await fixture.answers().count == 20 }
        }
        try await fixture.rewindQuestions()
        try await fixture.ask("last", "u1")
        try await fixture.whileRunning { _ in
            try await poll("last is answered") { try await fixture.answer("last") != nil }
        }
        #expect(try await fixture.answers().map(\.questionID.text) == ids + ["last"])
        await fixture.close()
    }

    @Test func answersFromTheRowOfTheBundlesVersion() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.write("ann", count: 7)
        try await fixture.write("old", count: 3, version: "another")
        try await fixture.ask("q1", "ann")
        try await fixture.ask("q2", "nobody")
        try await fixture.ask("q3", "old")
        try await fixture.ask("q4", "ann", milliseconds: -1)
        try await fixture.whileRunning { _ in
            try await poll("all questions are answered") {
                try await fixture.answers().count == 4
            }
            try await poll("the pieces of q1 are sent") {
                let tokens = try await fixture.records(of: Topic.answerTokens.rawValue).compactMap(\.value)
                    .map { try AnswerToken(decoding: $0, contentType: nil) }.filter { $0.questionID == "q1" }
                let text = tokens.sorted { $0.position < $1.position }.map(\.text).joined()
                return try await fixture.answer("q1")?.text == text
            }
        }
        let first = try #require(try await fixture.answer("q1"))
        #expect(first.status == .answered && first.eventCount == 7 && first.items.count == 3)
        #expect(first.modelVersion == fixture.bundle.version)
        #expect(first.computeMicroseconds >= first.firstTokenMicroseconds)
        let second = try #require(try await fixture.answer("q2"))
        #expect(second.status == .noHistory && !second.text.isEmpty)
        let third = try #require(try await fixture.answer("q3"))
        #expect(third.status == .failed && third.reason.contains("another"))
        let fourth = try #require(try await fixture.answer("q4"))
        #expect(fourth.status == .expired && fourth.text.isEmpty)
        await fixture.close()
    }

    /// At such a temperature every token is as likely as another, the one of the NUL byte too, which no text may have.
    @Test func whatTheModelMayNotWriteEndsOneQuestionOnly() async throws {
        let fixture = try await RespondingFixture()
        let now = WallClock.milliseconds
        let records = try (0..<60).map { seed in
            let question = Question(
                id: QuestionID("q\(seed)"),
                user: "ann",
                text: "What now?",
                form: .text,
                maximumTokens: 70,
                temperature: 100,
                seed: UInt64(seed),
                askedAt: now,
                deadline: now + 600_000
            )
            return OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: try question.encoded())
        }
        try await fixture.log.append(records)
        try await fixture.whileRunning { _ in
            try await poll("all questions are answered") {
                try await fixture.answers().count == 60
            }
        }
        let answers = try await fixture.answers()
        let failed = answers.filter { $0.status == .failed }
        #expect(!failed.isEmpty && failed.allSatisfy { $0.reason.contains("NUL") && $0.text.isEmpty })
        #expect(answers.contains { $0.status == .noHistory && !$0.text.isEmpty })
        await fixture.close()
    }

    @Test func whatIsNoQuestionIsRejected() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.log.append([
            OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: [0xff]),
            OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: nil),
        ])
        try await fixture.ask("good", "A")
        try await fixture.whileRunning { _ in
            try await poll("the question is answered") {
                try await fixture.answer("good") != nil
            }
        }
        let rejected = try await fixture.records(of: Topic.questions.rejected)
        #expect(rejected.map(\.value) == [[0xff], nil])
        await fixture.close()
    }
}
