import Bytes
import Catalogues
import Messages
import TestSupport
import Testing
import UserModels
import Verification

@testable import LLMResponder

/// Answers in which the encoder has a say, from rows in a real database.
@Suite struct FusedAnswersTests {
    @Test func theRowsPooledVectorIsPartOfTheAnswer() async throws {
        let fixture = try await RespondingFixture(fusion: .encoderAlone)
        let columns = fixture.bundle.contextColumns
        let encoded = try fixture.encoded()
        let other = encoded.pooled.map { -$0 }
        try await fixture.write("known", count: 5)
        try await fixture.write("other", count: 5, pooled: other)
        try await fixture.write("empty", count: 5, pooled: [])
        try await fixture.write("zeros", count: 5, pooled: [Float](repeating: 0, count: columns))
        try await fixture.write("narrow", count: 5, pooled: [1, 2, 3])
        let users = ["known", "other", "empty", "zeros", "narrow", "nobody"]
        for user in users { try await fixture.ask(user, user) }
        try await fixture.whileRunning { _ in
            try await poll("all questions are answered") { try await fixture.answers().count == users.count }
        }
        func items(_ user: String) async throws -> [Answer.Item] { try await fixture.answer(user)?.items ?? [] }
        let scorer = ItemScorer(fixture.bundle.encoder)
        for (user, pooled) in [("known", encoded.pooled), ("other", other)] {
            let best = Ranking.top(3, scores: scorer.scores(pooled)).map { fixture.bundle.catalogue.items[$0].id }
            #expect(try await items(user).map(\.id) == best)
        }
        // Who has no vector is answered by the language model alone.
        let alone = try await items("empty")
        #expect(try await items("zeros") == alone && alone.count == 3)
        #expect(try await items("known") != alone)
        let narrow = try #require(try await fixture.answer("narrow"))
        #expect(narrow.status == .failed)
        #expect(narrow.reason.contains("the pooled vector has 3 numbers, the encoder's head reads \(columns)"))
        #expect(try await fixture.answer("nobody")?.status == .noHistory)
        await fixture.close()
    }

    @Test func aBundleWithoutWeightsTakesNoNoticeOfTheVector() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.write("known", count: 5)
        try await fixture.write("narrow", count: 5, pooled: [1, 2, 3])
        for user in ["known", "narrow"] { try await fixture.ask(user, user) }
        try await fixture.whileRunning { _ in
            try await poll("both questions are answered") { try await fixture.answers().count == 2 }
        }
        let (known, narrow) = (try await fixture.answer("known"), try await fixture.answer("narrow"))
        #expect(known?.status == .answered && narrow?.items == known?.items && known?.items.count == 3)
        await fixture.close()
    }
}
