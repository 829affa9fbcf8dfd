@testable import LanguageEngine
import RandomNumbers
import Testing
import Tokenization

@Suite struct StopMatcherTests {
    /// What pieces of text give, and whether they stopped.
    private func run(_ stops: [String], _ pieces: [String]) -> (given: [String], isStopped: Bool) {
        var matcher = StopMatcher(stops)
        var given: [String] = []
        for piece in pieces {
            let output = matcher.append(piece)
            given.append(output.text)
            if output.isStopped { return (given, true) }
        }
        given.append(matcher.finish())
        return (given, false)
    }

    @Test func aStopStringMaySpanPieces() {
        let (given, isStopped) = run(["\n\nUser:"], ["Hi", " there\n", "\nUs", "er", ": more"])
        #expect(given == ["Hi", " there", "", "", ""])
        #expect(isStopped)
    }

    @Test func whatWasHeldBackComesWhenItIsNone() {
        let (given, isStopped) = run(["\n\nUser:"], ["a\n", "\nUse", "d", " b\n"])
        #expect(given == ["a", "", "\n\nUsed", " b", "\n"])
        #expect(!isStopped)
    }

    @Test func theFirstToBeginWins() {
        #expect(run(["cd", "bcde"], ["abcde"]).given == ["a"])
        #expect(run(["abc", "b"], ["xabd"]).given == ["xa"])
        // The shorter one is complete first.
        #expect(run(["abcd", "bc"], ["ab", "c", "d"]).given == ["", "a"])
    }

    @Test func piecesOfAnySizeGiveTheSameText() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<2_000 {
            let text = String((0..<12).map { _ in "abé".randomElement(using: &random) ?? "a" })
            let stop = String((0..<1 + random.below(3)).map { _ in "abé".randomElement(using: &random) ?? "a" })
            var pieces: [String] = []
            var rest = Substring(text)
            while !rest.isEmpty {
                let count = 1 + random.below(4)
                pieces.append(String(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let (given, isStopped) = run([stop], pieces)
            let expected = text.firstRange(of: stop).map { text[..<$0.lowerBound] } ?? text[...]
            #expect(given.joined() == String(expected))
            #expect(isStopped == text.contains(stop))
        }
    }

    @Test func anEngineStopsAtAStringAcrossTokens() throws {
        // Every byte is a token, so that each string spans tokens and a character is several.
        let tokenizer = try BPETrainer.train(["ab"], vocabularySize: 260, specialTokens: ["<|end|>"])
        let model = TinyModel(vocabulary: tokenizer.vocabularySize)
        let engine = try Engine(weights: model.weights(), tokenizer: tokenizer)
        let prompt = model.tokens(9, seed: 4)
        let request = SequenceRequest(prompt, maximumTokens: 40) { $0.sampling.temperature = 1 }
        let whole = try engine.answer(request)
        #expect(whole.text == tokenizer.decode(whole.tokens, skipsSpecialTokens: true))
        let stop = String(whole.text.dropFirst(5).prefix(3))
        let answer = try engine.answer(
            SequenceRequest(prompt, maximumTokens: 40) {
                $0.sampling.temperature = 1
                $0.stopStrings = [stop]
            }
        )
        let range = try #require(whole.text.firstRange(of: stop))
        #expect(answer.text == String(whole.text[..<range.lowerBound]))
        #expect(answer.result?.reason == .stop)
        #expect(answer.tokens.count < whole.tokens.count)
    }
}
