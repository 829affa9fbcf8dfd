import Bytes
import Catalogues
import Messages
import MessageLogs
import TestSupport
import Testing
import UserModels
import Verification

@testable import LLMResponder

/// Texts that name titles, from a question's record to the records of its answer.
@Suite struct TextsWithTitlesTests {
    /// The model has learnt nothing, but a penalty that favours what the question has makes it write marks of titles.
    @Test func aTextNamesTitlesOfTheCatalogue() async throws {
        let fixture = try await RespondingFixture()
        let now = WallClock.milliseconds
        let records = try (0..<40).map { seed in
            let question = Question(
                id: QuestionID("q\(seed)"),
                user: "ann",
                text: "<title>",
                form: .textWithTitles,
                itemCount: 0,
                maximumTokens: 70,
                temperature: 1,
                seed: UInt64(seed),
                minP: 0.01,
                repetitionPenalty: 0.1,
                frequencyPenalty: 1,
                askedAt: now,
                deadline: now + 600_000
            )
            return OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: try question.encoded())
        }
        try await fixture.log.append(records)
        try await fixture.whileRunning { _ in
            try await poll("all questions are answered") { try await fixture.answers().count == records.count }
        }
        var pieces: [QuestionID: [AnswerToken]] = [:]
        for record in try await fixture.records(of: Topic.answerTokens.rawValue) {
            let piece = try AnswerToken(decoding: #require(record.value), contentType: nil)
            pieces[piece.questionID, default: []].append(piece)
        }
        let catalogue = fixture.bundle.catalogue
        var named = 0
        for answer in try await fixture.answers() where answer.status != .failed {
            let written = (pieces[answer.questionID] ?? []).sorted { $0.position < $1.position }
            #expect(written.map(\.text).joined() == answer.text)
            #expect(!answer.text.contains("<title>") && !answer.text.contains("</title>"))
            for item in answer.items {
                let index = try #require(catalogue.index(of: item.id))
                #expect(item.title == catalogue.items[index].title && answer.text.contains(item.title))
            }
            named += answer.items.count
        }
        #expect(named > 5)
        await fixture.close()
    }
}
