@testable import LanguageEngine
import RandomNumbers
import Testing
import Tokenization

/// Passages of a free text that are held to a tree.
@Suite struct TreePassagesTests {
    private static let titles = [
        "Alien", "Alien (1979)", "Aliens", "(Odd)", "<b>", "Alien</title>", "</title>", "<title>", "Two\nLines", ">",
        "Alien<", "Caf\u{E9} !", "A film of a man who walks for a long, long time",
    ]
    private static let end: Int32 = 0

    private let tokenizer: Tokenizer
    private let model: TinyModel
    private let marks: PassageMarks

    init() throws {
        let texts = Self.titles.flatMap {
            ["<title>\($0)</title>", "!<title>\($0)</title>,", "<title></title><title>"]
        }
        // "QQ" and "ZZ" are marks of one token each; those of "<title>" merge with their neighbours.
        let letters = ["QQ", "ZZ", "QQ", "ZZ"]
        tokenizer = try BPETrainer.train(texts + letters, vocabularySize: 330, specialTokens: ["<|end|>"])
        var model = TinyModel(isTied: false, vocabulary: tokenizer.vocabularySize)
        // The tokens of the mark follow one another as a rule.
        let opening = tokenizer.encode("<title>", matchesAddedTokens: false)
        for (token, next) in zip(opening, opening.dropFirst()) {
            for column in 0..<64 {
                let value = model.values["model.embed_tokens.weight"]?[64 * Int(token) + column] ?? 0
                model.values["lm_head.weight"]?[64 * Int(next) + column] += 6 * value
            }
        }
        self.model = model
        marks = PassageMarks(opening: "<title>", closing: "</title>", tokenizer: tokenizer)
    }

    private func tokens(_ text: String) -> [Int32] { tokenizer.encode(text, matchesAddedTokens: false) }

    private func passages(_ titles: [String], _ marks: PassageMarks) -> TreePassages {
        let tree = SmallTree(titles.map { tokens($0) + [Self.end] })
        return TreePassages(marks: marks, tree: tree, end: Self.end)
    }

    private func engine(_ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
        var settings = EngineConfiguration()
        (settings.pagePositions, settings.pageCount, settings.cacheFormat) = (16, 256, .float32)
        change(&settings)
        return try Engine(weights: model.weights(), tokenizer: tokenizer, configuration: settings)
    }

    /// A text in which all that could be written of a mark is likely: whole marks, parts of them, and more than them.
    private func request(seed: UInt64, titles: [String] = titles) -> SequenceRequest {
        var random = SeededRandom(seed: seed)
        return SequenceRequest(model.tokens(5 + random.below(20), seed: seed), maximumTokens: 1 + random.below(100)) {
            $0.sampling.temperature = 1 + Float(random.below(2))
            $0.sampling.seed = seed
            $0.sampling.logitBias[tokens("<title>")[0]] = 8
            for token in 1..<Int32(tokenizer.vocabularySize) {
                let text = tokenizer.decode([token])
                if text.contains(">"), text.count > 1 { $0.sampling.logitBias[token] = 5 }
                if "</title>".contains(text), text.count > 1 { $0.sampling.logitBias[token] = 5 }
            }
            // Else it repeats one of them.
            $0.sampling.frequencyPenalty = 0.5 + Float(random.below(3))
            if seed % 4 == 0 { $0.stopStrings = ["ie", "!", ">>"] }
            $0.passages = passages(titles, marks)
        }
    }

    /// Holds an answer's text and passages against its tokens: titles stand where the marks are, and nowhere else.
    private func expectExact(_ answer: Answer, _ titles: [String], _ seed: UInt64) {
        let text = Array(answer.text.utf8)
        let raw = Array(tokenizer.decode(answer.tokens, skipsSpecialTokens: true).utf8)
        var (expected, read) = ([UInt8](), 0)
        func add(freeTo end: Int) {
            let free = String(decoding: text[read..<end], as: UTF8.self)
            #expect(!free.contains("<title>") && !free.contains("</title>"), "\(free), seed \(seed)")
            expected += text[read..<end]
            read = end
        }
        for passage in answer.passages {
            add(freeTo: passage.before.utf8.count)
            expected += Array("<title>\(titles[passage.answer.leaf])</title>".utf8)
        }
        add(freeTo: text.count)
        guard answer.result?.reason == .length else {
            #expect(raw.starts(with: expected), "seed \(seed)")
            return
        }
        // What was cut: a closing mark, the beginning of a mark, or a title up to its mark.
        if raw.count < expected.count {
            #expect(expected.starts(with: raw) && expected.count - raw.count <= "</title>".utf8.count, "seed \(seed)")
            return
        }
        #expect(raw.starts(with: expected), "seed \(seed)")
        let cut = String(decoding: raw.dropFirst(expected.count), as: UTF8.self)
        let isMark = "<title>".hasPrefix(cut) || "</title>".hasPrefix(cut)
        let isTitle = titles.contains { "<title>\($0)".hasPrefix(cut) }
        #expect(isMark || isTitle || cut.contains("\u{FFFD}"), "\(cut), seed \(seed)")
    }

    @Test func everyTitleIsOneOfTheTrees() throws {
        var (passageCount, cutCount, leaves) = (0, 0, Set<Int>())
        for seed: UInt64 in 0..<300 {
            let titles = seed % 2 == 0 ? Self.titles : [Self.titles[Int(seed) % Self.titles.count]]
            let answer = try engine().answer(request(seed: seed, titles: titles))
            expectExact(answer, titles, seed)
            #expect(answer.passages.allSatisfy { $0.answer.score <= 0 && $0.answer.score.isFinite })
            #expect(answer.result?.generatedTokens == answer.tokens.count)
            passageCount += answer.passages.count
            cutCount += answer.result?.reason == .length ? 1 : 0
            if seed % 2 == 0 { leaves.formUnion(answer.passages.map(\.answer.leaf)) }
        }
        let counts = "\(passageCount) passages, \(cutCount) texts were cut, \(leaves)"
        #expect(passageCount > 10 && cutCount > 10 && leaves.count > 2, "\(counts)")
    }

    /// By their definition: with one of them, the text would go on behind the mark, or close what is not open.
    @Test func exactlyTheTokensBeyondAMarkAreForbidden() {
        var count = 0
        for beginning in ["", "<", "<t", "<tit", "<title", "</", "</titl", "</title"] {
            let expected = (0..<Int32(tokenizer.vocabularySize)).filter { token in
                let text = beginning + tokenizer.decode([token], skipsSpecialTokens: true)
                let opened = text.firstRange(of: "<title>")
                return text.contains("</title>") || opened.map { $0.upperBound < text.endIndex } ?? false
            }
            #expect(marks.tokens(forbiddenAfter: Array(beginning.utf8)) == expected)
            count += expected.count
        }
        #expect(count > 10)
    }

    @Test func textsAreTheSameAloneAndAmongOthers() throws {
        let requests = (0..<12).map { index in
            var request = request(seed: UInt64(index))
            request.maximumTokens = 60
            if index % 3 == 0 { request.passages = nil }
            return request
        }
        let alone = try requests.map { try engine().answer($0) }
        #expect(alone.contains { !$0.passages.isEmpty })
        for pages in [256, 8] {
            let engine = try engine { ($0.pageCount, $0.positionsPerStep) = (pages, 20) }
            let ids = try requests.map { try engine.submit($0) }
            let answers = try engine.runToEnd()
            for (index, id) in ids.enumerated() {
                #expect(answers[id]?.content == alone[index].content, "request \(index), \(pages) pages")
                #expect(answers[id]?.passages == alone[index].passages && answers[id]?.text == alone[index].text)
            }
            #expect(engine.metrics.pagesInUse == 0 && (engine.metrics.preemptions > 0) == (pages == 8))
        }
    }

    // MARK: - Texts that consist of passages

    private func opening(_ titles: [String], maximumTokens: Int) -> SequenceRequest {
        let marks = PassageMarks(opening: "QQ", closing: "ZZ", tokenizer: tokenizer)
        return SequenceRequest(model.tokens(9, seed: 2), maximumTokens: maximumTokens) {
            for token in tokens("QQ") { $0.sampling.logitBias[token] = 1e5 }
            $0.passages = passages(titles, marks)
        }
    }

    @Test func aScoreIsThatOfTheTitleWithItsClosingMark() throws {
        #expect(tokens("QQ").count == 1 && tokens("ZZ").count == 1)
        let titles = ["Alien", "Alien (1979)", "Aliens", "(Odd)", "Two\nLines"]
        let request = opening(titles, maximumTokens: 30)
        let passage = try #require(try engine().answer(request).passages.first)
        let answers = titles.map { tokens($0) + tokens("ZZ") }
        let reading = SequenceRequest(request.tokens + tokens("QQ")) {
            $0.tree = SmallTree(answers)
            $0.search = .reading(answers[passage.answer.leaf])
        }
        let branches = try #require(try engine().answer(reading).result?.branches)
        let expected = branches.reduce(0) { $0 + $1.logs[$1.taken] }
        #expect(!branches.isEmpty && abs(expected - passage.answer.score) < 1e-4)
    }

    @Test func aTitleWithoutAChoiceIsReadTogether() throws {
        let title = tokens("A film of a man who walks for a long, long time")
        let whole = title.count + 2
        let engine = try engine()
        let answer = try engine.answer(opening([tokenizer.decode(title)], maximumTokens: 3 * whole))
        #expect(answer.tokens == Array(repeating: tokens("QQ") + title + tokens("ZZ"), count: 3).flatMap(\.self))
        #expect(answer.passages.map(\.answer) == Array(repeating: RankedLeaf(leaf: 0, score: 0), count: 3))
        #expect(answer.text.isEmpty && answer.result?.reason == .length)
        #expect(engine.metrics.steps == 3)
    }

    /// A title is whole without its closing mark, and is nothing without its last token.
    @Test func aTextEndsInNoHalfTitle() throws {
        let title = tokens("A film of a man who walks for a long, long time")
        for count in 1...2 * (title.count + 2) {
            let answer = try engine().answer(opening([tokenizer.decode(title)], maximumTokens: count))
            let (whole, rest) = count.quotientAndRemainder(dividingBy: title.count + 2)
            #expect(answer.passages.count == whole + (rest == title.count + 1 ? 1 : 0), "\(count)")
            #expect(answer.result?.reason == .length && answer.tokens.count == count && answer.text.isEmpty)
        }
    }

    @Test func aTextIsCancelledInAPassage() throws {
        let engine = try engine()
        let id = try engine.submit(opening(Self.titles, maximumTokens: 50))
        var events: [SequenceEvent] = []
        while events.isEmpty { events += try engine.step() }
        engine.cancel(id)
        events = try engine.step()
        guard case .finished(id, let result) = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(events.count == 1 && result.reason == .cancelled)
        #expect(engine.isIdle && engine.metrics.pagesInUse == 0)
    }

    @Test func passagesThatCannotBeAreRefused() throws {
        func refuses(_ request: SequenceRequest, _ engine: Engine, _ message: String) {
            #expect {
                _ = try engine.submit(request)
            } throws: {
                "\($0)".contains(message)
            }
        }
        let request = opening(Self.titles, maximumTokens: 5)
        refuses(request, try model.engine(), "passages is given, expected none for a model without a tokenizer")
        refuses(opening([], maximumTokens: 5), try engine(), "passages is empty, expected at least one answer")
        var held = request
        held.tree = request.passages?.tree
        refuses(held, try engine(), "expected none for a text that is held to a tree as a whole")
        let small = TinyModel()
        let other = try Engine(weights: small.weights(), tokenizer: tokenizer)
        var far = SequenceRequest(small.tokens(3, seed: 1))
        far.passages = request.passages
        refuses(far, other, "expected tokens below 67")
    }
}
