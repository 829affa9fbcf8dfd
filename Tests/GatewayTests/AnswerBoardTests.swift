import Bytes
import Messages
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(15))) struct AnswerBoardTests {
    private let user: UserID = "u"

    private func question(_ id: QuestionID, user: UserID = "u", _ text: String = "what?") -> Question {
        Question(id: id, user: user, text: text, askedAt: 0, deadline: 1)
    }

    private func answer(_ id: QuestionID, _ text: String = "yes", user: UserID = "u") -> Answer {
        Answer(questionID: id, user: user, status: .answered, text: text, askedAt: 0, answeredAt: 1)
    }

    private func token(_ id: QuestionID, _ position: UInt32, _ text: String) -> AnswerToken {
        AnswerToken(questionID: id, position: position, text: text)
    }

    /// Reads the news until the answer, or the watch's end.
    private func news(_ watch: AnswerBoard.Watch) async -> [String] {
        var seen: [String] = []
        for await news in watch.news {
            switch news {
            case .token(let token): seen.append("\(token.position) \(token.text)")
            case .answer(let answer): return seen + [answer.text]
            case .ambiguous: return seen + ["ambiguous"]
            case .heartbeat: seen.append("beat")
            }
        }
        return seen
    }

    @Test func tellsWhatCameBeforeAndAfterInOrderAndOnce() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        board.add(token("q", 0, "a"), of: user)
        let watch = board.watch("q", of: user)
        for (position, text) in [(0, "a"), (1, "b"), (1, "b"), (3, "d"), (2, "c")] {
            board.add(token("q", UInt32(position), text), of: user)
        }
        board.add(answer("q"))
        board.add(answer("q", "no"))
        board.add(token("q", 4, "e"), of: user)
        #expect(await news(watch) == ["0 a", "1 b", "3 d", "yes"])
        #expect(await news(board.watch("q", of: user)) == ["0 a", "1 b", "3 d", "yes"])
    }

    @Test func aStoppedWatchEndsAndLeavesNothing() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        let watch = board.watch("q", of: user)
        watch.beat()
        #expect(board.placeCount == 1)
        board.stop(watch)
        #expect(await news(watch) == ["beat"])
        #expect(board.count == 0 && board.placeCount == 0)
    }

    @Test func keepsTheNewestAndWhatIsWatched() async {
        let board = AnswerBoard(maximumCount: 3, maximumByteCount: 1 << 20)
        let watch = board.watch("watched", of: user)
        for number in 0..<5_000 { board.add(answer("q\(number)", "\(number)")) }
        #expect(board.count == 3)
        #expect(await news(board.watch("q4999", of: user)) == ["4999"])
        board.add(answer("watched"))
        #expect(await news(watch) == ["yes"])
        board.stop(watch)
        for number in 0..<3 { board.add(answer("r\(number)")) }
        #expect(board.count == 3)
    }

    @Test func questionsThatAreOnlyLookedForLeaveNothing() async {
        let board = AnswerBoard(maximumCount: 100_000, maximumByteCount: 1 << 20)
        board.add(answer("first"))
        for number in 0..<20_000 { board.stop(board.watch("q\(number)", of: user)) }
        board.add(answer("last"))
        #expect(board.count == 2)
        #expect(board.rememberedCount < 2_000 && board.placeCount == 2)
        #expect(await news(board.watch("first", of: user)) == ["yes"])
    }

    @Test func keepsToItsBytes() {
        let board = AnswerBoard(maximumCount: 1_000, maximumByteCount: 20_000)
        for number in 0..<100 { board.add(answer("q\(number)", String(repeating: "x", count: 5_000))) }
        #expect(board.count == 3)
        for number in 0..<1_000 { board.add(token("t", UInt32(number), String(repeating: "x", count: 100)), of: user) }
        #expect(board.count <= 1)
    }

    @Test func aQuestionIsAskedOnce() {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        #expect(board.claim(question("q")) == .new)
        #expect(board.claim(question("q")) == .known)
        board.unclaim(question("q"))
        #expect(board.count == 0 && board.placeCount == 0)
        #expect(board.claim(question("q")) == .new)
        board.add(answer("r"))
        #expect(board.claim(question("r")) == .known)
    }

    @Test func anIdBelongsToWhoAskedFirst() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        #expect(board.claim(question("q", user: "a")) == .new)
        #expect(board.claim(question("q", user: "b")) == .taken)
        #expect(board.claim(question("q", user: "a", "another?")) == .differs)
        board.unclaim(question("q", user: "b"))
        #expect(board.claim(question("q", user: "a")) == .known)
        // Known by its answer alone, as when it was asked through another gateway.
        board.add(answer("r", user: "a"))
        #expect(board.claim(question("r", user: "b")) == .taken)
        board.unclaim(question("q", user: "a"))
        #expect(board.claim(question("q", user: "b")) == .new)
    }

    /// Texts that look alike are different users and different ids.
    @Test func idsAreBytes() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        board.add(answer("caf\u{E9}", "composed", user: "jos\u{E9}"))
        board.add(answer("cafe\u{301}", "decomposed", user: "jose\u{301}"))
        #expect(board.count == 2)
        #expect(await news(board.watch("caf\u{E9}", of: nil)) == ["composed"])
        #expect(await news(board.watch("cafe\u{301}", of: "jose\u{301}")) == ["decomposed"])
        #expect(board.claim(question("caf\u{E9}", user: "jose\u{301}")) == .taken)
    }

    @Test func eachUserSeesItsOwnAnswer() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        let (a, b): (UserID, UserID) = ("a", "b")
        let waiting = [board.watch("q", of: a), board.watch("q", of: b)]
        board.add(token("q", 0, "to b"), of: b)
        board.add(answer("q", "for a", user: "a"))
        board.add(answer("q", "for b", user: "b"))
        #expect(await news(waiting[0]) == ["for a"])
        #expect(await news(waiting[1]) == ["0 to b", "for b"])
        #expect(await news(board.watch("q", of: a)) == ["for a"])
        #expect(await news(board.watch("q", of: b)) == ["0 to b", "for b"])
    }

    @Test func whoNamesNoUserIsNeverShownAnothers() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        let (a, b): (UserID, UserID) = ("a", "b")
        let early = board.watch("q", of: nil)
        board.add(token("q", 0, "to a"), of: a)
        let late = board.watch("q", of: nil)
        board.add(token("q", 0, "to b"), of: b)
        board.add(answer("q", "for b", user: "b"))
        board.add(answer("q", "for a", user: "a"))
        #expect(await news(early) == ["0 to a", "ambiguous"])
        #expect(await news(late) == ["0 to a", "ambiguous"])
        #expect(await news(board.watch("q", of: nil)) == ["ambiguous"])
        for watch in [early, late] { board.stop(watch) }
        // Of what was forgotten nobody else's is shown to who waits already.
        let small = AnswerBoard(maximumCount: 1, maximumByteCount: 1 << 20)
        let waiting = small.watch("q", of: nil)
        small.add(token("q", 0, "to a"), of: a)
        small.add(answer("x", user: "c"))
        small.add(answer("q", "for b", user: "b"))
        #expect(await news(waiting) == ["0 to a", "ambiguous"])
    }
}
