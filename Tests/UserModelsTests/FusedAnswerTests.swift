import Bytes
import Catalogues
import Foundation
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Testing

@testable import UserModels

@Suite struct FusedAnswerTests {
    private static let users: [[ItemID]] = [["a1", "d1", "c2"], ["d3"], ["c1", "c2", "c3", "a4"]]
    private static let text = "What will the user watch next?"

    /// The head's scores of all items, from the encoder itself.
    private func scores(_ model: UserLanguageModel, _ items: [ItemID]) -> [Float] {
        let graph = Graph(recording: false, seed: 0)
        let batch = EventBatch([TinyWorld.features.indexed(TinyWorld.timeline(items))[...]])
        return graph.values(of: model.encoder.scores(graph, states: model.encoder.states(graph, batch)))
    }

    private func ranked(
        _ model: UserLanguageModel,
        _ weights: FusionWeights?,
        _ context: UserContext?,
        count: Int = 12,
        form: Question.AnswerForm = .title,
        excluding excluded: Set<ItemID> = []
    ) throws -> GeneratedAnswer {
        var request = AnswerRequest(text: Self.text, form: form, itemCount: count)
        if !excluded.isEmpty { request.excludedItems = excluded }
        return try TinyWorld.answering(model, fusion: weights).answer(request, context: context)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func theEncoderAloneRanksAsItsHead(seed: UInt64) throws {
        let model = try TinyWorld.model(seed: seed)
        // Two items share the title "Quiet Rain": d1 and d2.
        let exclusions: [Set<ItemID>] = [[], ["d1"], ["d1", "d2"], ["a1", "c4", "d2", "a3"]]
        for user in Self.users {
            let scores = scores(model, user)
            for excluded in exclusions {
                let gone = Set(excluded.compactMap { TinyWorld.catalogue.index(of: $0) })
                let sum = log(scores.indices.filter { !gone.contains($0) }.reduce(0) { $0 + exp(Double(scores[$1])) })
                for count in [1, 4, 12] {
                    let answer = try ranked(
                        model,
                        .encoderAlone,
                        TinyWorld.context(model, of: user),
                        count: count,
                        excluding: excluded
                    )
                    let expected = Ranking.top(count, scores: scores, excluding: gone)
                    #expect(answer.items.map(\.id) == expected.map { TinyWorld.catalogue.items[$0].id })
                    for (item, index) in zip(answer.items, expected) {
                        #expect(abs(Double(item.score) - Double(scores[index]) + sum) < 1e-4)
                    }
                    #expect(answer.text == answer.items.first?.title)
                }
            }
        }
    }

    @Test func withoutASayOfTheEncoderNoBitChanges() throws {
        let model = try TinyWorld.model(seed: 5)
        let context = TinyWorld.context(model, of: Self.users[0])
        let fused = FusionWeights(branches: [.init(languageModel: 0.5, encoder: 2)])
        for form in [Question.AnswerForm.title, .known, .category] {
            let alone = try ranked(model, nil, context, form: form)
            let nothing = UserContext(rows: context.rows)
            let zeros = UserContext(rows: context.rows, pooled: [Float](repeating: 0, count: 16))
            for (weights, context) in [(FusionWeights.languageModelAlone, context), (fused, nothing), (fused, zeros)] {
                let same = try ranked(model, weights, context, form: form)
                #expect(same.items == alone.items && same.text == alone.text)
            }
            let other = try ranked(model, fused, context, form: form)
            #expect((other.items == alone.items) == (form == .category))
            #expect(other.text == alone.text || form != .category)
            #expect(try ranked(model, fused, nil, form: form).items == ranked(model, nil, nil, form: form).items)
        }
    }

    /// Each title's probability by the branches on its way: those of the language model as the engine reads them, those
    /// of the encoder summed by hand.
    @Test(arguments: [[(1.0, 1.0)], [(0.8, 0.3), (0.2, 1.5), (1, 0)], [(0, 2), (0.4, 0.7)]])
    func aFusedAnswerIsTheProductAtEachBranch(_ pairs: [(Double, Double)]) throws {
        let model = try TinyWorld.model(seed: 6)
        let weights = FusionWeights(branches: pairs.map { .init(languageModel: $0.0, encoder: $0.1) })
        let (answers, _) = try TinyWorld.answers()
        let tree = answers.titles
        let user = Self.users[2]
        let context = TinyWorld.context(model, of: user)
        let logits = scores(model, user)
        let gone = try #require(TinyWorld.catalogue.index(of: "a2"))
        func mass(_ node: PrefixTree.Node) -> Double {
            tree.leaves(below: node).reduce(0) { sum, leaf in
                tree.values(ofLeaf: leaf).reduce(sum) { $0 + ($1 == gone ? 0 : exp(Double(logits[$1]))) }
            }
        }
        let engine = try TinyWorld.answering(model, fusion: weights)
        var total = 0.0
        let found = try ranked(model, weights, context, excluding: ["a2"])
        #expect(found.items.count == 11)
        for item in found.items {
            var request = AnswerRequest(text: Self.text, form: .title)
            (request.excludedItems, request.givenItem) = (["a2"], item.id)
            let branches = try engine.answer(request, context: context).branches
            let index = try #require(TinyWorld.catalogue.index(of: item.id))
            let path = try #require(tree.path(of: answers.tokens(ofTitle: index) + [tree.end]))
            var (expected, depth) = (0.0, 0)
            var rest = branches[...]
            for (step, node) in path.enumerated() {
                let children = tree.nodes(after: node)
                let possible = children.filter { mass($0) > 0 }
                let end = tree.node(ofLeaf: try #require(leaf(of: index, tree)))
                let next = step + 1 < path.count ? path[step + 1] : end
                if possible.count > 1 {
                    let read = rest.popFirst()
                    let branch = try #require(read)
                    #expect(branch.depth == depth && possible[branch.taken] == next)
                    let sum = possible.reduce(0) { $0 + mass($1) }
                    let pair = weights.branches[min(depth, weights.branches.count - 1)]
                    let products = zip(possible, branch.languageModel).map { child, log in
                        pow(exp(Double(log)), pair.languageModel) * pow(mass(child) / sum, pair.encoder)
                    }
                    for (child, log) in zip(possible, branch.encoder) {
                        #expect(abs(Double(log) - Foundation.log(mass(child) / sum)) < 1e-5)
                    }
                    expected += log(products[branch.taken] / products.reduce(0, +))
                }
                if children.count > 1 { depth += 1 }
            }
            #expect(rest.isEmpty)
            if item.title == "Quiet Rain" {
                let pair = weights.branches[min(depth, weights.branches.count - 1)]
                let twins = try ["d1", "d2"].map { try #require(TinyWorld.catalogue.index(of: $0)) }
                let sum = twins.reduce(0) { $0 + exp(pair.encoder * Double(logits[$1])) }
                expected += pair.encoder * Double(logits[index]) - log(sum)
            }
            #expect(abs(Double(item.score) - expected) < 1e-4)
            total += exp(expected)
        }
        #expect(abs(total - 1) < 1e-6)
        #expect(found.items.map(\.score) == found.items.map(\.score).sorted(by: >))
    }

    private func leaf(of item: Int, _ tree: PrefixTree) -> Int? {
        (0..<tree.leafCount).first { tree.values(ofLeaf: $0).contains(item) }
    }

    /// A question about categories is answered as without the encoder, which knows nothing of them.
    @Test func categoriesKeepTheirProbabilities() throws {
        let weights = FusionWeights(branches: [.init(languageModel: 0.3, encoder: 3)])
        func ofTitles(_ model: UserLanguageModel, _ weights: FusionWeights?) throws -> Double {
            let context = TinyWorld.context(model, of: Self.users[0])
            // Wider than the tree has leaves, so that none is missing.
            let items = try ranked(model, weights, context, count: 20, form: .known).items
            // Without the encoder, two items with one title have its probability each.
            return items.reduce(0) { $0 + ($1.id == "d2" && weights == nil ? 0 : exp(Double($1.score))) }
        }
        var compared = 0
        for seed in 1...12 as ClosedRange<UInt64> {
            let model = try TinyWorld.model(seed: seed)
            let (alone, fused) = (try ofTitles(model, nil), try ofTitles(model, weights))
            // An answer that is a category has no items.
            guard alone > 0, fused > 0 else { continue }
            #expect(alone < 0.995 && abs(alone - fused) < 1e-5)
            compared += 1
        }
        #expect(compared > 0)
        let (answers, _) = try TinyWorld.answers()
        let leaves = LeafItems(tree: answers.all, itemCount: TinyWorld.catalogue.count)
        for leaf in 0..<answers.all.leafCount {
            var node: PrefixTree.Node? = answers.all.node(ofLeaf: leaf)
            let isCategory = answers.all.values(ofLeaf: leaf).contains { $0 >= TinyWorld.catalogue.count }
            while let current = node {
                if isCategory { #expect(!leaves.hasOnlyItems(below: current)) }
                node = answers.all.parent(of: current)
            }
            #expect(leaves.hasOnlyItems(below: answers.all.node(ofLeaf: leaf)) == !isCategory)
        }
    }

    @Test func scoresThatAreFarApartStayFiniteAndInOrder() throws {
        let model = try TinyWorld.model(seed: 2)
        let context = TinyWorld.context(model, of: Self.users[0])
        let near = scores(model, Self.users[0])
        let spread = (near.max() ?? 0) - (near.min() ?? 0)
        // A vector so long that probabilities are 0 even as a Double.
        let far = UserContext(rows: context.rows, pooled: context.pooled.map { $0 * 5_000 / spread })
        let graph = Graph(recording: false, seed: 0)
        let states = graph.constant(far.pooled, shape: [1, 16])
        let logits = graph.values(of: model.encoder.scores(graph, states: states))
        #expect((logits.max() ?? 0) - (logits.min() ?? 0) > 4_000)
        let answer = try ranked(model, .encoderAlone, far)
        let expected = Ranking.top(12, scores: logits).map { TinyWorld.catalogue.items[$0].id }
        #expect(answer.items.map(\.id) == expected)
        let isFinite = answer.items.allSatisfy { $0.score.isFinite }
        #expect(isFinite)
    }

    @Test func whatDoesNotFitIsNamed() throws {
        let model = try TinyWorld.model()
        let engine = try TinyWorld.answering(model, fusion: .encoderAlone)
        let context = TinyWorld.context(model, of: Self.users[0])
        func message(_ pooled: [Float], _ change: (inout AnswerRequest) -> Void = { _ in }) -> String {
            var request = AnswerRequest(text: Self.text, form: .title)
            change(&request)
            do throws(AnswerError) {
                _ = try engine.answer(request, context: UserContext(rows: context.rows, pooled: pooled))
                return "no error"
            } catch {
                return error.description
            }
        }
        #expect(message(context.pooled) == "no error")
        #expect(message([1, 2, 3]).contains("the pooled vector has 3 numbers, the encoder's head reads 16"))
        #expect(message([.nan] + context.pooled.dropFirst()).contains("pooled is not of numbers"))
        #expect(message(context.pooled) { $0.givenItem = "nobody" }.contains("givenItem is nobody"))
        #expect(message(context.pooled) { ($0.givenItem, $0.form) = ("a1", .category) }.contains("givenItem is a1"))
        #expect(
            message(context.pooled) { ($0.givenItem, $0.excludedItems) = ("a1", ["a1"]) }
                .contains("expected an answer of the tree")
        )
        let wrong: [(FusionWeights, String)] = [
            (FusionWeights(branches: []), "fusion.branches is 0 pairs, expected from 1 to 3"),
            (
                FusionWeights(branches: [.init(languageModel: 1, encoder: 1), .init(languageModel: .nan, encoder: 1)]),
                "fusion.branches[1].languageModel is nan, expected a number from 0 to 100"
            ),
            (FusionWeights(branches: [.init(languageModel: 1, encoder: -0.5)]), "fusion.branches[0].encoder is -0.5"),
            (FusionWeights(branches: [.init(languageModel: .infinity, encoder: 1)]), "languageModel is inf"),
            (FusionWeights(branches: [.init(languageModel: 1, encoder: 1)], late: 101), "fusion.late is 101.0"),
        ]
        for (weights, message) in wrong {
            #expect {
                _ = try TinyWorld.answering(model, fusion: weights)
            } throws: {
                "\($0)".contains(message)
            }
        }
    }

    @Test func branchesAreCountedFromTheRoot() {
        let tree = PrefixTree(sequences: [[1, 2, 3], [1, 2, 4], [1, 5], [6]], end: 0)
        func depths(_ sequence: [Int32]) -> [Int]? { tree.path(of: sequence)?.map { tree.branchDepth(of: $0) } }
        #expect(depths([1, 2, 3, 0]) == [0, 1, 2, 3])
        #expect(depths([1, 5, 0]) == [0, 1, 2])
        #expect(depths([6, 0]) == [0, 1])
        let chain = PrefixTree(sequences: [[7, 8], [7, 9]], end: 0)
        #expect(chain.path(of: [7, 8, 0])?.map { chain.branchDepth(of: $0) } == [0, 0, 1])
    }

    /// The limits are those of Wilson's paper, as published for these counts.
    @Test func intervalsAreWilsons() {
        func interval(_ hits: Int, of count: Int) -> ClosedRange<Double> {
            var metrics = RankingMetrics()
            for index in 0..<count { metrics.add(rank: index < hits ? 1 : nil) }
            return metrics.hitRateInterval(at: 10)
        }
        for (hits, count, low, high) in [(5, 10, 0.2366, 0.7634), (0, 10, 0, 0.2775), (81, 263, 0.2553, 0.3662)] {
            let interval = interval(hits, of: count)
            #expect(abs(interval.lowerBound - low) < 1e-4 && abs(interval.upperBound - high) < 1e-4, "\(interval)")
        }
        #expect(interval(0, of: 0) == 0...1)
    }
}
