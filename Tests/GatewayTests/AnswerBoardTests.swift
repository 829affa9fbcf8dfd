import Identifiers
import Messages
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(1))) struct AnswerBoardTests {
    private func answer(_ id: QuestionID, _ text: String = "yes") -> Answer {
        Answer(questionID: id, user: "u", status: .answered, text: text, askedAt: 0, answeredAt: 1)
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
            case .heartbeat: seen.append("beat")
            }
        }
        return seen
    }

    @Test func tellsWhatCameBeforeAndAfterInOrderAndOnce() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        board.add(token("q", 0, "a"))
        let watch = board.watch("q")
        for (position, text) in [(0, "a"), (1, "b"), (1, "b"), (3, "d"), (2, "c")] {
            board.add(token("q", UInt32(position), text))
        }
        board.add(answer("q"))
        board.add(answer("q", "no"))
        board.add(token("q", 4, "e"))
        #expect(await news(watch) == ["0 a", "1 b", "3 d", "yes"])
        #expect(await news(board.watch("q")) == ["0 a", "1 b", "3 d", "yes"])
    }

    @Test func aStoppedWatchEndsAndLeavesNothing() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        let watch = board.watch("q")
        watch.beat()
        #expect(board.count == 1)
        board.stop(watch)
        #expect(await news(watch) == ["beat"])
        #expect(board.count == 0)
    }

    @Test func keepsTheNewestAndWhatIsWatched() async {
        let board = AnswerBoard(maximumCount: 3, maximumByteCount: 1 << 20)
        let watch = board.watch("watched")
        for number in 0..<5_000 { board.add(answer("q\(number)", "\(number)")) }
        #expect(board.count == 3)
        #expect(await news(board.watch("q4999")) == ["4999"])
        board.add(answer("watched"))
        #expect(await news(watch) == ["yes"])
        board.stop(watch)
        for number in 0..<3 { board.add(answer("r\(number)")) }
        #expect(board.count == 3)
    }

    @Test func questionsThatAreOnlyLookedForLeaveNothing() async {
        let board = AnswerBoard(maximumCount: 100_000, maximumByteCount: 1 << 20)
        board.add(answer("first"))
        for number in 0..<20_000 { board.stop(board.watch("q\(number)")) }
        board.add(answer("last"))
        #expect(board.count == 2)
        #expect(board.rememberedCount < 2_000)
        #expect(await news(board.watch("first")) == ["yes"])
    }

    @Test func keepsToItsBytes() {
        let board = AnswerBoard(maximumCount: 1_000, maximumByteCount: 20_000)
        for number in 0..<100 { board.add(answer("q\(number)", String(repeating: "x", count: 5_000))) }
        #expect(board.count == 3)
        for number in 0..<1_000 { board.add(token("t", UInt32(number), String(repeating: "x", count: 100))) }
        #expect(board.count <= 1)
    }

    @Test func aQuestionIsAskedOnce() {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        #expect(board.claim("q"))
        #expect(!board.claim("q"))
        board.unclaim("q")
        #expect(board.claim("q"))
        board.add(answer("r"))
        #expect(!board.claim("r"))
    }

    @Test func questionsThatDifferInBytesAloneAreDifferent() async {
        let board = AnswerBoard(maximumCount: 10, maximumByteCount: 1 << 20)
        #expect(board.claim("\u{E9}"))
        #expect(board.claim("e\u{301}"))
        board.add(answer("\u{E9}", "composed"))
        board.add(answer("e\u{301}", "decomposed"))
        #expect(await news(board.watch("\u{E9}")) == ["composed"])
        #expect(await news(board.watch("e\u{301}")) == ["decomposed"])
    }
}
