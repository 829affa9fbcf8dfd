import Bytes
import Catalogues
import Messages
import TestSupport
import Testing
import UserModels

@testable import LLMResponder

/// What the user has had, from rows in a real database.
@Suite struct SeenItemsTests {
    /// With and without a say of the encoder, which has its own view of what may be the answer.
    @Test(arguments: [nil, FusionWeights.encoderAlone])
    func whatTheUserHasHadIsNoAnswerUnlessAskedFor(fusion: FusionWeights?) async throws {
        let fixture = try await RespondingFixture(fusion: fusion)
        let catalogue = fixture.bundle.catalogue
        try await fixture.write("nothing", count: 5)
        try await fixture.ask("before", "nothing")
        try await fixture.whileRunning { _ in try await fixture.answered("before") }
        let best = try #require(try await fixture.answer("before")).items.map(\.id)
        try #require(best.count == 3)

        // A number that the catalogue does not have says nothing.
        let numbers = best.prefix(2).compactMap { catalogue.index(of: $0).map { UInt32($0) } }
        let all = (0..<catalogue.count).map { UInt32($0) }
        try await fixture.write("some", count: 5, seenItems: SeenItems(numbers + [UInt32(catalogue.count), .max]))
        try await fixture.write("all", count: 5, seenItems: SeenItems(all))
        try await fixture.ask("rest", "some")
        try await fixture.ask("any", "some", includingSeen: true)
        try await fixture.ask("text", "some", writing: 2)
        try await fixture.ask("none", "all")
        try await fixture.ask("all", "all", includingSeen: true)
        try await fixture.whileRunning { _ in
            try await fixture.answered("rest", "any", "text", "none", "all")
        }
        let rest = try #require(try await fixture.answer("rest"))
        #expect(rest.status == .answered && rest.items.count == 3)
        #expect(Set(rest.items.map(\.id)).isDisjoint(with: best.prefix(2)))
        // What is left has other probabilities for the language model; the encoder's order remains.
        if fusion != nil { #expect(rest.items.first?.id == best[2]) }
        #expect(try await fixture.answer("any")?.items.map(\.id) == best)
        #expect(try await fixture.answer("text")?.status == .answered)
        let none = try #require(try await fixture.answer("none"))
        #expect(none.status == .failed && none.reason.contains("include_seen"), "\(none.reason)")
        #expect(try await fixture.answer("all")?.items.map(\.id) == best)
        await fixture.close()
    }

    @Test func aDamagedRowFailsItsOwnQuestionsAlone() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.write("good", count: 5)
        try await fixture.write("bad", count: 5)
        try PrivatePostgres.shared().psql(
            fixture.database,
            "UPDATE user_embeddings SET seen_items = '\\xff' WHERE user_id = 'bad'"
        )
        for user in ["bad", "good"] { try await fixture.ask(user, user) }
        try await fixture.whileRunning { _ in try await fixture.answered("bad", "good") }
        let bad = try #require(try await fixture.answer("bad"))
        #expect(bad.status == .failed && bad.reason.contains("seen_items"), "\(bad.reason)")
        #expect(try await fixture.answer("good")?.status == .answered)
        await fixture.close()
    }
}
