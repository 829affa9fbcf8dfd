import Foundation
@testable import LanguageEngine
import RandomNumbers
import Testing

/// A tree of a few answers.
struct SmallTree: TokenTree {
    private var nodes: [[(token: Int32, node: Int32)]] = [[]]
    private var leaves: [[Int]] = [[]]
    let answers: [[Int32]]

    init(_ answers: [[Int32]]) {
        self.answers = answers
        for (leaf, answer) in answers.enumerated() {
            var node = 0
            leaves[0].append(leaf)
            for token in answer {
                if let child = nodes[node].first(where: { $0.token == token }) {
                    node = Int(child.node)
                } else {
                    nodes[node].append((token, Int32(nodes.count)))
                    nodes[node].sort { $0.token < $1.token }
                    node = nodes.count
                    nodes.append([])
                    leaves.append([])
                }
                leaves[node].append(leaf)
            }
        }
    }

    var root: Int32 { 0 }
    var depth: Int { answers.map(\.count).max() ?? 0 }
    var tokenLimit: Int { Int(answers.joined().max() ?? -1) + 1 }
    func children(of node: Int32) -> [(token: Int32, node: Int32)] { nodes[Int(node)] }
    func onlyLeaf(below node: Int32) -> Int? { leaves[Int(node)].count == 1 ? leaves[Int(node)][0] : nil }
}

@Suite struct BeamSearchTests {
    static let end: Int32 = 66

    /// Random answers over few tokens, so that they branch often; each ends with the end token.
    private func tree(_ count: Int, seed: UInt64) -> SmallTree {
        var random = SeededRandom(seed: seed)
        var answers: Set<[Int32]> = []
        while answers.count < count {
            answers.insert((0..<1 + random.below(5)).map { _ in Int32(random.below(4)) } + [Self.end])
        }
        return SmallTree(answers.sorted { $0.lexicographicallyPrecedes($1) })
    }

    @Test func aCompleteAnswerIsKeptWhenAllPlacesAreTaken() {
        var search = BeamSearch(SmallTree([[0, 2], [0, 3], [1]]), width: 1)
        search.advance([[log(0.55), log(0.45)]])
        #expect(search.ranking == nil)
        // Both of the likelier beginning's answers have half of 0.55.
        search.advance([[log(0.5), log(0.5)]])
        #expect(search.ranking?.map(\.leaf) == [2])
    }

    @Test func aWideSearchLeavesRoomForOthers() throws {
        let model = TinyModel()
        let engine = try model.engine { $0.positionsPerStep = 64 }
        let wide = try engine.submit(
            SequenceRequest(model.tokens(5, seed: 1)) {
                ($0.tree, $0.search) = (tree(600, seed: 4), .beams(width: 200))
            }
        )
        // The search has begun, and has more beams than a step reads.
        for _ in 0..<3 { _ = try engine.step() }
        let other = try engine.submit(SequenceRequest(model.tokens(20, seed: 2), maximumTokens: 1))
        var ended: [SequenceID] = []
        for _ in 0..<2_000 where !engine.isIdle {
            for case .finished(let id, _) in try engine.step() { ended.append(id) }
        }
        #expect(ended == [other, wide])
    }

    /// Every answer's probability among all of a tree, by the reference.
    private func ranking(_ model: TinyModel, _ prompt: [Int32], _ tree: SmallTree) -> [RankedLeaf] {
        let reference = ReferenceModel(model: model)
        let scores = tree.answers.map { answer in
            let logits = reference.logits(prompt + answer)
            var (node, score) = (tree.root, 0.0)
            for (index, token) in answer.enumerated() {
                let children = tree.children(of: node)
                let row = logits[prompt.count - 1 + index]
                let values = children.map { row[Int($0.token)] }
                let greatest = values.max() ?? 0
                score += row[Int(token)] - greatest - log(values.reduce(0) { $0 + exp($1 - greatest) })
                node = children.first { $0.token == token }?.node ?? -1
            }
            return score
        }
        return scores.indices.sorted { scores[$0] > scores[$1] }.map { RankedLeaf(leaf: $0, score: Float(scores[$0])) }
    }

    @Test(arguments: 1...4)
    func aWideSearchIsTheExactRanking(_ seed: UInt64) throws {
        let model = TinyModel(seed: seed)
        let tree = tree(20, seed: seed)
        let prompt = model.tokens(37, seed: seed)
        let expected = ranking(model, prompt, tree)
        let total = expected.reduce(0) { $0 + exp(Double($1.score)) }
        #expect(abs(total - 1) < 1e-5)
        let engine = try model.engine()
        let answer = try engine.answer(
            SequenceRequest(prompt) { ($0.tree, $0.search) = (tree, .beams(width: 20)) }
        )
        let found = try #require(answer.result?.ranking)
        #expect(found.map(\.leaf) == expected.map(\.leaf))
        for (found, expected) in zip(found, expected) { #expect(abs(found.score - expected.score) < 1e-4) }
        #expect(answer.result?.leaf == expected[0].leaf)
        #expect(engine.metrics.pagesInUse == 0)
    }

    @Test func narrowSearchesAreTheSameAloneAndAmongOthersInATinyPool() throws {
        let model = TinyModel().withAdapter(first: 1)
        let trees = (0..<4).map { tree(30, seed: UInt64(20 + $0)) }
        let requests = trees.enumerated().map { index, tree in
            SequenceRequest(model.tokens(20 + 5 * index, seed: UInt64(index))) {
                ($0.tree, $0.search) = (tree, .beams(width: 2 + index))
                if index % 2 == 1 { $0.context = model.rows(3, seed: 1) }
            }
        }
        let alone = try requests.map { try #require(try model.engine().answer($0).result?.ranking) }
        for (index, ranking) in alone.enumerated() {
            #expect(ranking.count == 2 + index)
            #expect(ranking.map(\.score) == ranking.map(\.score).sorted(by: >))
        }
        // A few positions a step cut a search's beams too.
        let engine = try model.engine { ($0.pageCount, $0.positionsPerStep) = (9, 7) }
        let texts = (0..<3).map { SequenceRequest(model.tokens(30, seed: 40 + $0), maximumTokens: 60) }
        let textIDs = try texts.map { try engine.submit($0) }
        let ids = try requests.map { try engine.submit($0) }
        let answers = try engine.runToEnd()
        for (index, id) in ids.enumerated() { #expect(answers[id]?.result?.ranking == alone[index]) }
        for (id, text) in zip(textIDs, texts) {
            #expect(answers[id]?.content == (try model.engine().answer(text)).content)
        }
        #expect(engine.metrics.preemptions > 0)
        #expect(engine.metrics.pagesInUse == 0)
    }

    @Test func aDescentTakesTheLikeliestAllowedToken() throws {
        let model = TinyModel()
        let tree = tree(20, seed: 5)
        let prompt = model.tokens(9, seed: 1)
        let reference = ReferenceModel(model: model)
        var (node, path) = (tree.root, [Int32]())
        while tree.onlyLeaf(below: node) == nil {
            let row = try #require(reference.logits(prompt + path).last)
            let best = try #require(tree.children(of: node).max { row[Int($0.token)] < row[Int($1.token)] })
            path.append(best.token)
            node = best.node
        }
        let leaf = try #require(tree.onlyLeaf(below: node))
        let answer = try model.engine().answer(
            SequenceRequest(prompt) { ($0.tree, $0.stopTokens) = (tree, [Self.end]) }
        )
        #expect(answer.result?.leaf == leaf)
        #expect(answer.tokens == tree.answers[leaf].dropLast())
        #expect(answer.result?.reason == .stop)
    }

    @Test func aSampledDescentComesByProbability() throws {
        let model = TinyModel()
        let tree = tree(6, seed: 8)
        let prompt = model.tokens(9, seed: 1)
        let expected = ranking(model, prompt, tree)
        let engine = try model.engine()
        let ids = try (0..<600).map { seed in
            try engine.submit(
                SequenceRequest(prompt) {
                    ($0.tree, $0.sampling.temperature, $0.sampling.seed) = (tree, 1, UInt64(seed))
                }
            )
        }
        let answers = try engine.runToEnd()
        for ranked in expected {
            let share = Double(ids.count { answers[$0]?.result?.leaf == ranked.leaf }) / 600
            #expect(abs(share - exp(Double(ranked.score))) < 0.08)
        }
    }

    @Test func theOnlyAnswerIsGivenUnread() throws {
        let model = TinyModel()
        let engine = try model.engine()
        let tree = SmallTree([[4, 5, 6, Self.end]])
        let descent = try engine.answer(
            SequenceRequest(model.tokens(30, seed: 1)) { ($0.tree, $0.stopTokens) = (tree, [Self.end]) }
        )
        #expect(descent.tokens == [4, 5, 6])
        #expect(descent.logProbabilities == [0, 0, 0])
        let search = try engine.answer(
            SequenceRequest(model.tokens(30, seed: 1)) { ($0.tree, $0.search) = (tree, .beams(width: 3)) }
        )
        #expect(search.result?.ranking == [RankedLeaf(leaf: 0, score: 0)])
        #expect(engine.metrics.positions == 0)
    }

    @Test func treesThatDoNotFitAreNamed() throws {
        let model = TinyModel()
        let engine = try model.engine { ($0.pageCount, $0.maximumBeams) = (8, 50) }
        func field(_ tree: SmallTree, _ width: Int? = nil, prompt: Int = 2) -> String? {
            do throws(EngineError) {
                let request = SequenceRequest(model.tokens(prompt, seed: 1)) {
                    $0.tree = tree
                    if let width { $0.search = .beams(width: width) }
                }
                _ = try engine.submit(request)
                return nil
            } catch {
                guard case .invalid(let field, _, _) = error else { return nil }
                return field
            }
        }
        #expect(field(SmallTree([])) == "tree")
        #expect(field(SmallTree([[67]])) == "tree")
        #expect(field(SmallTree([[Int32](repeating: 1, count: 127)])) == "tree")
        #expect(field(SmallTree([[1], [2]]), 0) == "beams")
        #expect(field(SmallTree([[1], [2]]), 51) == "beams")
        // A beam of its own page each, beside none that is shared: nine do not fit into eight.
        #expect(field(SmallTree([[1], [2]]), 9) == "beams")
        #expect(field(SmallTree([[1], [2]]), 8) == nil)
    }
}
