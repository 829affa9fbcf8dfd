import Bytes
import Catalogues
import Foundation
@testable import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Synchronization
import Testing
import Tokenization

@testable import UserModels

/// Catalogues whose titles are equal, empty, nearly the same, or begin alike.
@Suite struct OddTitlesTests {
    private static func catalogue(_ titles: [String]) throws -> Catalogue {
        try Catalogue(
            items: titles.enumerated().map {
                CatalogueItem(id: ItemID("i\($0.offset)"), title: $0.element, categories: ["Drama"])
            }
        )
    }

    private static func answers(_ catalogue: Catalogue, _ format: PromptFormat) -> KnownAnswers {
        KnownAnswers(catalogue: catalogue, categoryNames: catalogue.categories, format: format)
    }

    /// A model of a catalogue, and what asks it.
    private struct Asked {
        let model: UserLanguageModel
        let features: EventFeatures
        let answers: KnownAnswers
        let format: PromptFormat
        let catalogue: Catalogue

        init(_ titles: [String]) throws {
            catalogue = try OddTitlesTests.catalogue(titles)
            format = try PromptFormat(tokenizer: TinyWorld.tokenizer())
            answers = OddTitlesTests.answers(catalogue, format)
            features = EventFeatures(configuration: EventFeatures.Configuration(), catalogue: catalogue)
            var random = SeededRandom(seed: 2)
            var encoder = AutoregressiveEncoder.Configuration(
                itemCount: catalogue.count,
                categoryCount: catalogue.categories.count
            )
            (encoder.width, encoder.feedForwardWidth, encoder.length) = (16, 32, 8)
            var language = LanguageModelConfiguration(vocabularySize: format.tokenizer.vocabularySize)
            (language.width, language.layers, language.headWidth, language.feedForwardWidth) = (32, 2, 8, 64)
            language.maximumLength = 128
            var adapter = UserAdapter.Configuration(encoder: encoder, languageModel: language)
            (adapter.perceiver.latents, adapter.perceiver.feedForwardWidth, adapter.gateOpening) = (4, 32, 0.5)
            model = try UserLanguageModel(
                encoder: AutoregressiveEncoder(configuration: encoder, using: &random),
                adapter: UserAdapter(configuration: adapter, using: &random),
                languageModel: LanguageModel(configuration: language, using: &random)
            )
        }

        func context(_ items: [ItemID]) -> UserContext {
            let engine = EncodingEngine(
                encoder: model.encoder,
                perceiver: model.adapter.perceiver,
                features: features,
                threads: 1
            )
            return UserContext(engine.encode([TinyWorld.timeline(items)])[0])
        }

        func answer(
            _ weights: FusionWeights? = nil,
            _ context: UserContext? = nil,
            _ change: (inout AnswerRequest) -> Void = { _ in }
        ) throws -> GeneratedAnswer {
            let engine = try AnsweringEngine(
                model: model,
                sources: AnswerSources(catalogue: catalogue, features: features, format: format),
                configuration: TinyWorld.exact,
                fusion: weights
            )
            var request = AnswerRequest(text: "Next?", form: .title, itemCount: catalogue.count)
            change(&request)
            return try engine.answer(request, context: context)
        }
    }

    // MARK: - Equal titles

    private static let twins = ["Twin", "Other", "Twin", "Twin", "Third"]

    @Test func itemsOfOneTitleStandInTheCataloguesOrder() throws {
        let asked = try Asked(Self.twins)
        #expect(asked.answers.titles.leafCount == 3 && asked.answers.sharedTitleItemCount == 3)
        func expectTwins(_ answer: GeneratedAnswer, _ ids: [ItemID]) {
            let places = answer.items.indices.filter { answer.items[$0].title == "Twin" }
            #expect(places.map { answer.items[$0].id } == ids)
            #expect(places == Array((places.first ?? 0)..<(places.first ?? 0) + ids.count))
            #expect(Set(places.map { answer.items[$0].score }).count == 1)
        }
        let context = asked.context(["i1", "i4"])
        let alone = try asked.answer(nil, context)
        #expect(alone.items.count == 5)
        expectTwins(alone, ["i0", "i2", "i3"])
        expectTwins(try asked.answer(nil, context) { $0.excludedItems = ["i0"] }, ["i2", "i3"])
        // The encoder's say between them is nothing, so they are as likely as one another.
        let equal = FusionWeights(branches: [.init(languageModel: 0.5, encoder: 0)])
        expectTwins(try asked.answer(equal, context), ["i0", "i2", "i3"])
    }

    @Test func withItsSayTheEncoderOrdersThem() throws {
        let asked = try Asked(Self.twins)
        for items in [["i1", "i4"], ["i0"], ["i3", "i3", "i2"]] {
            let context = asked.context(items.map { ItemID($0) })
            let best = Ranking.top(5, scores: ItemScorer(asked.model.encoder).scores(context.pooled))
            let answer = try asked.answer(.encoderAlone, context)
            #expect(answer.items.map(\.id) == best.map { asked.catalogue.items[$0].id })
            #expect(answer.text == answer.items[0].title)
        }
    }

    /// Whatever the order in which equal sequences are sorted.
    @Test func valuesOfALeafAscend() {
        let sequences = (0..<300).map { [Int32($0 * 7 % 5), 1] }
        let tree = PrefixTree(sequences: sequences, end: 9)
        for leaf in 0..<tree.leafCount {
            let values = tree.values(ofLeaf: leaf)
            #expect(values.count == 60 && values == values.sorted())
        }
    }

    // MARK: - Titles that are nearly the same

    private static let cafes = ["Caf\u{E9}", "Cafe\u{301}", "Caf\u{E9} ", " Caf\u{E9}", "Caf\u{E9}"]

    @Test func titlesThatDifferInFormOrWhiteSpaceAreDifferent() throws {
        let format = try PromptFormat(tokenizer: TinyWorld.tokenizer())
        let answers = try Self.answers(Self.catalogue(Self.cafes), format)
        let leaves = (0..<answers.titles.leafCount).map { answers.titles.values(ofLeaf: $0) }
        #expect(leaves.sorted { $0[0] < $1[0] } == [[0, 4], [1], [2], [3]])
        #expect(answers.sharedTitleItemCount == 2 && answers.untitledItemCount == 0)
        for (item, title) in Self.cafes.enumerated() {
            #expect(Array(format.text(answers.tokens(ofTitle: item)).utf8) == Array(title.utf8))
        }
    }

    /// A model whose tokenizer composes characters cannot tell the two forms apart: they are one answer of two items.
    @Test func titlesOfTheSameTokensAreOneAnswer() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "tokenizer-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let plain = try TinyWorld.tokenizer().json()
        let composing = plain.replacing(#""normalizer": null"#, with: #""normalizer": {"type": "NFC"}"#)
        try #require(composing != plain)
        try composing.write(toFile: path, atomically: true, encoding: .utf8)
        let format = try PromptFormat(tokenizer: Tokenizer(contentsOf: path))
        let answers = try Self.answers(Self.catalogue(Self.cafes), format)
        let leaves = (0..<answers.titles.leafCount).map { answers.titles.values(ofLeaf: $0) }
        #expect(leaves.sorted { $0[0] < $1[0] } == [[0, 1, 4], [2], [3]])
        #expect(answers.sharedTitleItemCount == 3)
    }

    // MARK: - Titles that are none

    @Test func itemsWithoutATitleAreCountedAndNeverAnAnswer() throws {
        let asked = try Asked(["", "One", "", "Two"])
        #expect(asked.answers.untitledItemCount == 2 && asked.answers.sharedTitleItemCount == 0)
        #expect(asked.answers.titles.leafCount == 2)
        let question = TrainingQuestion(
            prompt: asked.format.prompt("Next?"),
            answer: asked.answers.tokens(ofTitle: 0),
            choice: .title,
            answers: asked.answers,
            prefix: 1
        )
        #expect(question == nil)
        let context = asked.context(["i0", "i2"])
        for weights in [nil, FusionWeights.encoderAlone] {
            #expect(Set(try asked.answer(weights, context).items.map(\.id)) == ["i1", "i3"])
            let given = #expect(throws: AnswerError.self) { try asked.answer(weights, context) { $0.givenItem = "i0" } }
            #expect(given?.description.contains("givenItem is i0, expected an item of the catalogue with") == true)
        }
        let none = try Asked(["", ""])
        #expect(throws: AnswerError.nothingLeft) { try none.answer(.encoderAlone, none.context(["i0"])) }
    }

    // MARK: - Many titles with one beginning

    /// Counts what a search asks of a tree; an outlook is counted as the leaves that are looked at for it.
    private final class CountedTree: TokenTree {
        let tree: RestrictedTree
        private let counts = Mutex((children: 0, leaves: 0))
        var work: (children: Int, leaves: Int) { counts.withLock { $0 } }

        init(_ tree: RestrictedTree) { self.tree = tree }

        var root: Int32 { tree.root }
        var depth: Int { tree.depth }
        var tokenLimit: Int { tree.tokenLimit }
        func onlyLeaf(below node: Int32) -> Int? { tree.onlyLeaf(below: node) }
        func children(of node: Int32) -> [(token: Int32, node: Int32)] {
            counts.withLock { $0.children += 1 }
            return tree.children(of: node)
        }
        func outlook(of node: Int32) -> Float {
            counts.withLock { $0.leaves += tree.leafCount(below: node) }
            return 0
        }
    }

    /// 10,000 titles with 300 tokens in common; then 25, 20 and 20 ways to go on.
    private static let alike: PrefixTree = {
        let common = [Int32](repeating: 7, count: 300)
        let sequences = (0..<10_000 as Range<Int32>).map { index -> [Int32] in
            let own: [Int32] = [100 + index / 400, 100 + index / 20 % 20, 100 + index % 20]
            return common + own
        }
        return PrefixTree(sequences: sequences, end: 1)
    }()

    @Test func aTreeHasANodeForEachDistinctBeginning() {
        let tree = Self.alike
        var (count, open) = (0, [PrefixTree.root])
        while let node = open.popLast() {
            count += 1
            open += tree.nodes(after: node)
        }
        // The root, the common tokens, the three that differ, and the ends.
        #expect(count == 1 + 300 + 25 + 500 + 10_000 + 10_000)
        #expect(tree.leafCount == 10_000 && tree.depth == 304 && tree.forkDepth == 302)
        #expect(tree.branchTokens.count == 25)
    }

    @Test func aSearchLooksAtNoLeafMoreOftenThanTitlesBranch() {
        let tree = CountedTree(RestrictedTree(Self.alike))
        var search = BeamSearch(tree, width: 10)
        var steps = 0
        while search.ranking == nil {
            search.advance(search.allowed.map { children in children.map { _ in -log(Float(children.count)) } })
            steps += 1
        }
        #expect(steps == 303 && search.ranking?.count == 10)
        // All of them at the first branch; below it only those of the ten texts that go on.
        #expect(tree.work.leaves == 10_000 + 10 * 400 + 10 * 20)
        #expect(tree.work.children == 1 + 300 + 2 * 10)
    }

    @Test func theLongestTitlesNeedNoDeepStack() throws {
        let common = [Int32](repeating: 7, count: 200_000)
        let tree = PrefixTree(sequences: [common + [8], common + [9], common], end: 1)
        #expect(tree.leafCount == 3 && tree.depth == 200_002)
        let path = try #require(tree.path(of: common + [9, 1]))
        #expect(path.count == 200_002 && tree.branchDepth(of: path[200_001]) == 1)
        let restricted = RestrictedTree(tree, without: [0, 1])
        #expect(restricted.onlyLeaf(below: restricted.root) == 2)
        #expect(restricted.tokens(below: restricted.root).count == 200_002)
    }

    /// What is kept of titles grows with their number, however they begin.
    @Test func keptStatesGrowWithTheTitles() throws {
        let model = try TinyWorld.model(adapter: { ($0.crossAttentionFrom, $0.contextFrom) = (1, .lastPromptToken) })
        for parameter in model.languageModel.parameters { parameter.isTrainable = false }
        let (common, prompt): ([Int32], [Int32]) = ([Int32](repeating: 7, count: 20), [1, 5, 2])
        func kept(_ count: Int) -> Int {
            let shared = SharedStates(model.languageModel, model.adapter.configuration)
            let titles = (0..<count).map { common + [Int32(10 + $0)] }
            let graph = Graph(recording: false, seed: 0)
            _ = shared.read(graph, titles.map { (prompt[...], $0[...]) })
            return shared.keptBytes
        }
        let (ten, twenty, forty) = (kept(10), kept(20), kept(40))
        #expect(twenty > ten && forty - twenty == 2 * (twenty - ten))
    }
}
