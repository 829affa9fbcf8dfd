import Foundation
import Testing

@testable import Tokenization

@Suite struct PiecePatternTests {
    private func matches(_ pattern: PiecePattern, _ text: String) -> [Range<Int>] {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBufferPointer { pattern.matches(in: $0, PiecePattern.Scratch()) }
    }

    /// A repeated group takes a place on a stack for each repetition, of which compiled code has few.
    @Test(arguments: [500, 2_000, 50_000])
    func aLongRepetitionOfAGroupIsOneMatch(count: Int) throws {
        let pattern = try PiecePattern(#"(?:\p{L}\p{M}*)+|\s+"#)
        let text = String(repeating: "e\u{301}", count: count) + " ab"
        let end = 3 * count
        #expect(matches(pattern, text) == [0..<end, end..<(end + 1), (end + 1)..<(end + 3)])
    }

    private static let published = [PiecePattern.gpt2, PiecePattern.llama3, PiecePattern.qwen2]
    private static let texts = [
        "Hello, world! It's 12345 o'clock.\r\n\n  Gr\u{F6}\u{DF}e \u{6771}\u{4EAC} \u{1F600}\t\t x_y  ", "", " ", "'s",
        "'S'LL",
        "a\u{301} \u{301}b", "\u{3000}\u{A0} end", "1\u{662}\u{BD}2", String(repeating: "e", count: 20_000),
        String(repeating: " ", count: 20_000) + "x", String(repeating: " \n", count: 5_000) + " x",
        String(repeating: "!", count: 5_000) + "\n\n", String(repeating: "e ", count: 5_000),
    ]

    /// Compiled code and the interpreter give the same; of what is compiled there is no other sign.
    @Test(arguments: published)
    func publishedPatternsMatchAsTheInterpreterDoes(source: String) throws {
        let (compiled, interpreted) = (try PiecePattern(source), try PiecePattern("(?:\(source))"))
        #expect(!interpreted.isCompiled)
        for text in Self.texts { #expect(matches(compiled, text) == matches(interpreted, text), "\(text.prefix(40))") }
    }

    /// Compiled code would find the space here: it does not count what it skips, and takes the square of the length.
    @Test func whereABoundIsHitDoesNotDependOnCompiledCode() throws {
        let pattern = try PiecePattern(#"\S*x\S*y| "#)
        #expect(!pattern.isCompiled)
        #expect(matches(pattern, String(repeating: "x", count: 8) + " y") == [8..<9])
        #expect(matches(pattern, String(repeating: "x", count: 8_000) + " y") == [])
        #expect(matches(pattern, "  " + String(repeating: "x", count: 8_000) + " y") == [0..<1, 1..<2])
    }

    /// Each place by itself takes no more steps than are allowed, but all of them together do.
    @Test func theStepsOfAllPlacesAreBoundedTogether() throws {
        let pattern = try PiecePattern("(?:a|b)*x(?:a|x)*[yw]| ")
        #expect(matches(pattern, String(repeating: "x", count: 20) + " y") == [20..<21])
        #expect(matches(pattern, String(repeating: "x", count: 100_000) + " y") == [])
    }

    /// Matches that are far apart are found, though every place between them is tried.
    @Test func matchesFarApartAreFound() throws {
        let pattern = try PiecePattern(#"\d(?=\D)"#)
        let text = String(repeating: "e", count: 100_000) + "12" + String(repeating: "\u{E9}", count: 50_000) + "3x"
        #expect(matches(pattern, text) == [100_001..<100_002, 200_002..<200_003])
    }
}
