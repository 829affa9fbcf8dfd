import Foundation
@testable import LanguageEngine
import RandomNumbers
import Testing

/// A tree that knows how likely its answers are.
struct PriorTree: TokenTree {
    let tree: SmallTree
    /// The prior probability of each answer; NaN where nothing is known.
    let masses: [Double]
    let weights: (model: Double, prior: Double)

    var root: Int32 { tree.root }
    var depth: Int { tree.depth }
    var tokenLimit: Int { tree.tokenLimit }
    func children(of node: Int32) -> [(token: Int32, node: Int32)] { tree.children(of: node) }
    func onlyLeaf(below node: Int32) -> Int? { tree.onlyLeaf(below: node) }

    func leaves(below node: Int32) -> [Int] {
        if let leaf = tree.onlyLeaf(below: node) { return [leaf] }
        return tree.children(of: node).flatMap { leaves(below: $0.node) }
    }

    func mass(below node: Int32) -> Double { leaves(below: node).reduce(0) { $0 + masses[$1] } }

    func prior(of node: Int32) -> BranchPrior? {
        let sums = tree.children(of: node).map { mass(below: $0.node) }
        return BranchPrior(
            logs: sums.map { $0.isNaN ? nil : log($0) },
            modelWeight: weights.model,
            priorWeight: weights.prior
        )
    }

    func outlook(of node: Int32) -> Float {
        let best = leaves(below: node).map { masses[$0] }.max() ?? 0
        let share = log(best / mass(below: node))
        return weights.prior > 0 && share.isFinite ? Float(share) : 0
    }
}

@Suite struct FusedSearchTests {
    private static let end: Int32 = 66

    private func tree(_ count: Int, seed: UInt64, model: Double, prior: Double) -> PriorTree {
        var random = SeededRandom(seed: seed)
        var answers: Set<[Int32]> = []
        while answers.count < count {
            answers.insert((0..<1 + random.below(5)).map { _ in Int32(random.below(4)) } + [Self.end])
        }
        let sorted = answers.sorted { $0.lexicographicallyPrecedes($1) }
        let masses = sorted.map { _ in exp(3 * random.uniformDouble()) }
        return PriorTree(tree: SmallTree(sorted), masses: masses, weights: (model, prior))
    }

    /// Every answer with the logarithm of its fused probability, from the reference's logits, best first.
    private func ranking(_ model: TinyModel, _ prompt: [Int32], _ tree: PriorTree) -> [(leaf: Int, score: Double)] {
        let reference = ReferenceModel(model: model)
        let scores = tree.tree.answers.map { answer in
            let logits = reference.logits(prompt + answer)
            var (node, score) = (tree.root, 0.0)
            for (index, token) in answer.enumerated() {
                let children = tree.children(of: node)
                let row = logits[prompt.count - 1 + index]
                let modelSum = children.reduce(0) { $0 + exp(row[Int($1.token)]) }
                let priorSum = children.reduce(0) { $0 + tree.mass(below: $1.node) }
                let products = children.map { child in
                    pow(exp(row[Int(child.token)]) / modelSum, tree.weights.model)
                        * pow(tree.mass(below: child.node) / priorSum, tree.weights.prior)
                }
                let taken = children.firstIndex { $0.token == token } ?? -1
                score += log(products[taken] / products.reduce(0, +))
                node = children[taken].node
            }
            return score
        }
        return scores.indices.sorted { scores[$0] > scores[$1] }.map { ($0, scores[$0]) }
    }

    private func found(
        _ model: TinyModel,
        _ prompt: [Int32],
        _ tree: some TokenTree,
        width: Int
    ) throws -> [RankedLeaf] {
        let request = SequenceRequest(prompt) { ($0.tree, $0.search) = (tree, .beams(width: width)) }
        return try #require(try model.engine().answer(request).result?.ranking)
    }

    @Test(arguments: [(1.0, 1.0), (0.7, 0.4), (0.3, 2.5), (0, 1), (0, 0), (1.2, 0)])
    func aWideSearchIsTheExactRankingOfTheProduct(_ modelWeight: Double, _ priorWeight: Double) throws {
        for seed in 1...3 as ClosedRange<UInt64> {
            let model = TinyModel(seed: seed)
            let tree = tree(20, seed: seed, model: modelWeight, prior: priorWeight)
            let prompt = model.tokens(11, seed: seed)
            let expected = ranking(model, prompt, tree)
            #expect(abs(expected.reduce(0) { $0 + exp($1.score) } - 1) < 1e-9)
            let found = try found(model, prompt, tree, width: 20)
            #expect(found.count == 20)
            for (index, ranked) in found.enumerated() {
                #expect(abs(Double(ranked.score) - expected[index].score) < 1e-4)
                let own = try #require(expected.first { $0.leaf == ranked.leaf })
                #expect(abs(Double(ranked.score) - own.score) < 1e-4)
            }
        }
    }

    @Test func withoutAWeightThePriorChangesNoBit() throws {
        let model = TinyModel(seed: 4)
        let tree = tree(30, seed: 9, model: 1, prior: 0)
        let prompt = model.tokens(9, seed: 1)
        for width in [1, 3, 30] {
            #expect(try found(model, prompt, tree, width: width) == found(model, prompt, tree.tree, width: width))
        }
    }

    /// Many unlikely answers with a common beginning do not hide a likely one.
    @Test func thePriorAloneIsRankedExactlyByTheNarrowestSearch() throws {
        let model = TinyModel(seed: 4)
        for seed in 1...4 as ClosedRange<UInt64> {
            let tree = tree(40, seed: seed, model: 0, prior: 1)
            let total = tree.masses.reduce(0, +)
            let best = tree.masses.indices.sorted { tree.masses[$0] > tree.masses[$1] }
            for width in [1, 2, 5, 40] {
                let found = try found(model, model.tokens(9, seed: 1), tree, width: width)
                #expect(found.map(\.leaf) == Array(best.prefix(width)))
                for ranked in found {
                    #expect(abs(Double(ranked.score) - log(tree.masses[ranked.leaf] / total)) < 1e-4)
                }
            }
        }
    }

    @Test func whatIsImpossibleIsLastAndFinite() throws {
        let model = TinyModel(seed: 2)
        let answers: [[Int32]] = [[0, 1, Self.end], [0, 2, Self.end], [1, Self.end], [2, Self.end], [3, Self.end]]
        let tree = PriorTree(tree: SmallTree(answers), masses: [0, 0, 0.5, 0, 0.25], weights: (1, 1))
        let prompt = model.tokens(9, seed: 1)
        let found = try found(model, prompt, tree, width: 5)
        let isFinite = found.allSatisfy { $0.score.isFinite }
        #expect(isFinite)
        #expect(Set(found.prefix(2).map(\.leaf)) == [2, 4] && found.count == 5)
        #expect(found[1].score > -100 && found[2].score < -1_000)
        // Those below a child that is impossible as a whole are told apart by the model.
        let row = ReferenceModel(model: model).logits(prompt + [0])[prompt.count]
        let order = found.filter { $0.leaf < 2 }.map(\.leaf)
        #expect(order == (row[1] > row[2] ? [0, 1] : [1, 0]))
    }

    @Test func whereNothingIsKnownTheModelsProbabilityRemains() throws {
        let model = TinyModel(seed: 3)
        let answers: [[Int32]] = [
            [0, 1, Self.end], [0, 2, Self.end], [1, Self.end], [2, Self.end], [3, 0, Self.end],
        ]
        let known = PriorTree(tree: SmallTree(answers), masses: [.nan, 1, 9, 1, 4], weights: (0.5, 1.5))
        let prompt = model.tokens(9, seed: 1)
        let found = try found(model, prompt, known, width: 5)
        let alone = try self.found(model, prompt, known.tree, width: 5)
        func score(_ leaf: Int, _ ranking: [RankedLeaf]) -> Double {
            Double(ranking.first { $0.leaf == leaf }?.score ?? .nan)
        }
        // The unknown answer, and its beginning, which it shares with a known one.
        for leaf in [0, 1] { #expect(abs(score(leaf, found) - score(leaf, alone)) < 1e-5) }
        // The others divide the rest among themselves.
        let products = [2, 3, 4].map { exp(0.5 * score($0, alone)) * pow(known.masses[$0], 1.5) }
        let rest = [2, 3, 4].reduce(0) { $0 + exp(score($1, alone)) }
        for (leaf, product) in zip([2, 3, 4], products) {
            #expect(abs(score(leaf, found) - log(product / products.reduce(0, +) * rest)) < 1e-4)
        }
    }

    @Test func aDescentTakesTheLikeliestByTheProduct() throws {
        let model = TinyModel()
        var differing = 0
        for seed in 1...8 as ClosedRange<UInt64> {
            let tree = tree(20, seed: seed, model: 0.6, prior: 0.8)
            let prompt = model.tokens(9, seed: seed)
            let reference = ReferenceModel(model: model)
            var (node, path) = (tree.root, [Int32]())
            while tree.onlyLeaf(below: node) == nil {
                let row = try #require(reference.logits(prompt + path).last)
                let best = try #require(
                    tree.children(of: node).max {
                        func value(_ child: (token: Int32, node: Int32)) -> Double {
                            0.6 * row[Int(child.token)] + 0.8 * log(tree.mass(below: child.node))
                        }
                        return value($0) < value($1)
                    }
                )
                path.append(best.token)
                node = best.node
            }
            let request = SequenceRequest(prompt) { ($0.tree, $0.stopTokens) = (tree, [Self.end]) }
            let answer = try model.engine().answer(request)
            #expect(answer.result?.leaf == tree.onlyLeaf(below: node))
            let alone = SequenceRequest(prompt) { ($0.tree, $0.stopTokens) = (tree.tree, [Self.end]) }
            if try model.engine().answer(alone).result?.leaf != answer.result?.leaf { differing += 1 }
        }
        #expect(differing > 0)
    }

    @Test func aGivenAnswersBranchesAreTheModelsOwn() throws {
        let model = TinyModel(seed: 6)
        let tree = tree(25, seed: 3, model: 0.5, prior: 2)
        let prompt = model.tokens(9, seed: 1)
        let reference = ReferenceModel(model: model)
        let engine = try model.engine()
        for (leaf, answer) in tree.tree.answers.enumerated() {
            let request = SequenceRequest(prompt) {
                ($0.tree, $0.search, $0.stopTokens) = (tree, .reading(answer), [Self.end])
            }
            let read = try engine.answer(request)
            #expect(read.result?.leaf == leaf && read.result?.reason == .stop)
            #expect(read.tokens == answer.dropLast())
            let logits = reference.logits(prompt + answer)
            var (node, expected) = (tree.root, [(node: Int32, taken: Int, logs: [Double])]())
            for (index, token) in answer.enumerated() {
                let children = tree.children(of: node)
                let values = children.map { logits[prompt.count - 1 + index][Int($0.token)] }
                let sum = log(values.reduce(0) { $0 + exp($1) })
                let taken = try #require(children.firstIndex { $0.token == token })
                if children.count > 1 { expected.append((node, taken, values.map { $0 - sum })) }
                node = children[taken].node
            }
            let branches = try #require(read.result?.branches)
            #expect(branches.map(\.node) == expected.map(\.node) && branches.map(\.taken) == expected.map(\.taken))
            for (branch, expected) in zip(branches, expected) {
                #expect(branch.logs.count == expected.logs.count)
                for (log, expected) in zip(branch.logs, expected.logs) { #expect(abs(Double(log) - expected) < 1e-4) }
            }
        }
        #expect(engine.metrics.pagesInUse == 0)
        for answer in [[], [0], [63, Self.end], tree.tree.answers[0] + [1]] as [[Int32]] {
            #expect {
                _ = try engine.submit(SequenceRequest(prompt) { ($0.tree, $0.search) = (tree, .reading(answer)) })
            } throws: {
                "\($0)".hasPrefix("search is ") && "\($0)".hasSuffix("expected an answer of the tree")
            }
        }
    }

    @Test func logitsThatAreNoNumbersStaySo() {
        let prior = BranchPrior(logs: [0, -1], modelWeight: 0, priorWeight: 1)
        let spoilt = prior.fused([.nan, 0])
        #expect(spoilt[0].isNaN)
        let impossible = BranchPrior(logs: [-.infinity, -.infinity], modelWeight: 1, priorWeight: 1)
        let fused = impossible.fused([log(0.25), log(0.75)])
        #expect(abs(fused[0] - log(0.25)) < 1e-12 && abs(fused[1] - log(0.75)) < 1e-12)
    }
}
