import Foundation
import Testing
import Tokenization

@Suite struct TokenizerTests {
    private static let texts = [
        "The Road to Velora (1994)", "the road, the river and the sea",
        "It's the road they'd take; she'll follow in 1994.",
        "Größe, naïve, 東京 と 大阪, emoji 👩‍👩‍👧 and \u{1F1E9}\u{1F1EA}", "tabs\tand\nlines\r\n  with   spaces  ",
    ]

    private static func tokenizer(size: Int = 320) throws -> Tokenizer {
        try BPETrainer.train(texts, vocabularySize: size, specialTokens: ["<|end|>", "<|user|>"])
    }

    @Test func decodingGivesBackAnyString() throws {
        let tokenizer = try Self.tokenizer()
        var generator = SplitMix(state: 7)
        let ranges: [ClosedRange<UInt32>] = [
            0...0x7F, 0x20...0x7E, 0x80...0x24F, 0x300...0x36F, 0x600...0x6FF, 0x4E00...0x4E80, 0x1F300...0x1F6FF,
            0x2000...0x200A, 0xE000...0xE010, 0x10FFF0...0x10FFFF, 0x85...0x85, 0x180E...0x180E,
        ]
        for _ in 0..<500 {
            var scalars = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                guard let range = ranges.randomElement(using: &generator) else { continue }
                Unicode.Scalar(UInt32.random(in: range, using: &generator)).map { scalars.append($0) }
            }
            let text = String(scalars)
            let decoded = tokenizer.decode(tokenizer.encode(text))
            #expect(Array(decoded.utf8) == Array(text.utf8))
        }
    }

    @Test func encodesALongPieceInReasonableWork() throws {
        // 200,000 equal letters are one piece; merging it must not take quadratic time.
        let text = String(repeating: "e", count: 200_000)
        let tokenizer = try Self.tokenizer()
        #expect(tokenizer.decode(tokenizer.encode(text)) == text)
    }

    /// None of these may cost the square of its length, under any pattern.
    @Test(arguments: ["gpt-2", "smollm", "llama-bpe", "qwen2"])
    func longRunsAreEncodedInReasonableWork(kind: String) throws {
        let alphabet = GGUFTokenizerTests.alphabet
        let data = GGUFVocabulary(
            model: "gpt2",
            preTokenizer: kind,
            tokens: alphabet + ["ee", "eeee"],
            types: [Int32](repeating: 1, count: 258),
            merges: ["e e", "ee ee"],
            addsBegin: false
        )
        let tokenizer = try Tokenizer(gguf: data)
        for run in ["e", " ", "\n", "1", "!", " \n", "'", "e\u{301}", "\u{6771}", "e ", "\u{1F600}"] {
            let text = String(repeating: run, count: 100_000)
            #expect(tokenizer.decode(tokenizer.encode(text)).unicodeScalars.count >= 100_000)
        }
    }

    @Test func trainingIsDeterministic() throws {
        #expect(try Self.tokenizer().json() == Self.tokenizer().json())
    }

    @Test func learnsTheMergesOfATinyText() throws {
        // "aaab" twice and "ab" once: (a, a) and (a, b) are both seen ... a,a: 2 * 2 = 4, then a,b: 3.
        let tokenizer = try BPETrainer.train(["aaab", "aaab", "ab"], vocabularySize: 259)
        let a = Int32(64)
        #expect(tokenizer.encode("a") == [a])
        // Ids 256 "aa", 257 "ab", then (aa, ab) twice.
        #expect(tokenizer.encode("aa") == [256])
        #expect(tokenizer.encode("ab") == [257])
        #expect(tokenizer.encode("aaab") == [258])
        #expect(tokenizer.encode("aaaab") == [256, 256, a + 1])
    }

    @Test func equallyFrequentPairsAreMergedBySmallerIDs() throws {
        let tokenizer = try BPETrainer.train(["yx", "yx", "ab", "ab"], vocabularySize: 257)
        #expect(tokenizer.encode("ab") == [256])
        #expect(tokenizer.encode("yx").count == 2)
    }

    @Test func doesNotMergeAcrossPieces() throws {
        let tokenizer = try BPETrainer.train(Array(repeating: "go go go 12 12", count: 9), vocabularySize: 400)
        for id in 0..<Int32(tokenizer.vocabularySize) {
            let text = tokenizer.decode([id])
            #expect(!text.dropFirst().contains(" "), "token \(id) is \(text)")
        }
    }

    @Test func savedAndLoadedIsTheSame() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let tokenizer = try Self.tokenizer()
        try tokenizer.save(to: folder.path)
        let loaded = try Tokenizer(contentsOf: folder.path)
        #expect(loaded.json() == tokenizer.json())
        #expect(loaded.addedTokens == tokenizer.addedTokens)
        for text in Self.texts + ["<|user|>Hello<|end|>", "unseen Wörter"] {
            #expect(loaded.encode(text) == tokenizer.encode(text))
        }
    }

    @Test func specialTokensAreTokensOnlyWhereTheyMayBe() throws {
        let tokenizer = try Self.tokenizer()
        let end = try #require(tokenizer.id(of: "<|end|>"))
        let user = try #require(tokenizer.id(of: "<|user|>"))
        #expect(tokenizer.id(of: "<|other|>") == nil)
        let ids = tokenizer.encode("<|user|>the road<|end|>")
        #expect(ids.first == user && ids.last == end)
        #expect(tokenizer.decode(ids) == "<|user|>the road<|end|>")
        #expect(tokenizer.decode(ids, skipsSpecialTokens: true) == "the road")
        let typed = tokenizer.encode("the road<|end|>", matchesAddedTokens: false)
        #expect(!typed.contains(end))
        #expect(tokenizer.decode(typed) == "the road<|end|>")
    }

    @Test func theLongestOfOverlappingAddedTokensIsMatched() throws {
        let tokenizer = try BPETrainer.train(["x"], vocabularySize: 258, specialTokens: ["<a>", "<a><b>"])
        #expect(tokenizer.encode("<a><b>") == [1])
        #expect(tokenizer.encode("<a><a><b>") == [0, 1])
    }

    @Test func streamedTextIsTheDecodedText() throws {
        let tokenizer = try BPETrainer.train(["x"], vocabularySize: 257, specialTokens: ["<|end|>"])
        var generator = SplitMix(state: 3)
        for round in 0..<300 {
            // Valid text cut into bytes, and bytes at random, which are mostly no UTF-8.
            var ids = tokenizer.encode("Zoë 東京 👩‍👩‍👧 é")
            if round > 0 {
                let lead: [Int32] = tokenizer.encode("é東👩")
                ids = (0..<30).map { _ in
                    Bool.random(using: &generator)
                        ? lead.randomElement(using: &generator) ?? 1 : Int32.random(in: 0...256, using: &generator)
                }
            }
            var decoder = StreamingDecoder(tokenizer, skipsSpecialTokens: false)
            let pieces = ids.map { decoder.append($0) }
            #expect(pieces.joined() + decoder.finish() == tokenizer.decode(ids))
            if round == 0 { #expect(!pieces.joined().contains("\u{FFFD}")) }
        }
    }

    @Test func trainingWithoutRoomIsAnError() {
        #expect(throws: TokenizerError.self) {
            try BPETrainer.train(["x"], vocabularySize: 256, specialTokens: ["<a>"])
        }
        #expect(throws: TokenizerError.self) {
            try BPETrainer.train(["x"], vocabularySize: 300, specialTokens: ["a", "a"])
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
