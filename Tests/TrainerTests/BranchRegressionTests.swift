import Foundation
import NeuralNetwork
import Testing
import UserModels

@testable import Trainer

@Suite("Learning the weights of language model and encoder")
struct BranchRegressionTests {
    private typealias Pair = FusionWeights.Pair

    private static let alone = Pair(languageModel: 1, encoder: 0)

    /// Choices whose outcomes are drawn from the product with these weights.
    private func branches(_ count: Int, _ pair: Pair, depth: Int = 0, seed: UInt64 = 1) -> [AnswerBranch] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in
            func logs(_ children: Int) -> [Float] {
                let values = (0..<children).map { _ in 4 * random.uniformDouble() }
                let sum = log(values.reduce(0) { $0 + exp($1) })
                return values.map { Float($0 - sum) }
            }
            let children = 2 + random.below(6)
            let (model, encoder) = (logs(children), logs(children))
            let weights = zip(model, encoder).map {
                exp(pair.languageModel * Double($0) + pair.encoder * Double($1))
            }
            var rest = random.uniformDouble() * weights.reduce(0, +)
            var taken = 0
            while taken < children - 1, rest >= weights[taken] {
                rest -= weights[taken]
                taken += 1
            }
            return AnswerBranch(depth: depth, taken: taken, languageModel: model, encoder: encoder)
        }
    }

    /// The loss by its definition.
    private func likelihood(_ branches: [AnswerBranch], _ a: Double, _ b: Double) -> Double {
        branches.reduce(0) { sum, branch in
            let products = zip(branch.languageModel, branch.encoder).map { exp(a * Double($0) + b * Double($1)) }
            return sum + log(products[branch.taken] / products.reduce(0, +))
        }
    }

    @Test(arguments: [(0.7, 0.4), (1.5, 0.2), (0.1, 1.2)])
    func findsTheWeightsThatTheChoicesWereMadeWith(_ a: Double, _ b: Double) {
        let branches = branches(20_000, Pair(languageModel: a, encoder: b))
        let regression = BranchRegression(branches)
        let fit = regression.fit(from: Self.alone, pull: 0.01)
        #expect(abs(fit.languageModel - a) < 0.05 && abs(fit.encoder - b) < 0.05, "\(fit)")
        #expect(abs(regression.logLikelihood(fit) - likelihood(branches, fit.languageModel, fit.encoder)) < 1e-6)
        // No other pair near or far is likelier.
        let best = regression.logLikelihood(fit)
        for (x, y) in [(1.0, 0.0), (0, 1), (1, 1), (a, b)] {
            #expect(best >= likelihood(branches, x, y) - 0.02)
        }
        for (x, y) in [(0.01, 0.0), (-0.01, 0), (0, 0.01), (0, -0.01), (0.01, -0.01), (0.01, 0.01)] {
            #expect(best > likelihood(branches, fit.languageModel + x, fit.encoder + y))
        }
    }

    @Test func aWeightIsNeverNegative() {
        // The language model is right, and the encoder the opposite of it.
        let branches = branches(2_000, Pair(languageModel: 1.5, encoder: -0.5))
        let fit = BranchRegression(branches).fit(from: Pair(languageModel: 1, encoder: 1), pull: 0.01)
        #expect(fit.encoder == 0 && fit.languageModel > 1)
        for delta in [-0.01, 0.01] {
            let best = likelihood(branches, fit.languageModel, 0)
            #expect(best > likelihood(branches, fit.languageModel + delta, 0))
        }
        let opposite = self.branches(2_000, Pair(languageModel: -0.5, encoder: 1.5))
        #expect(BranchRegression(opposite).fit(from: Self.alone, pull: 0.01).languageModel == 0)
    }

    @Test func whatCannotBeToldStaysFinite() {
        let start = Pair(languageModel: 0.5, encoder: 0.25)
        #expect(BranchRegression([]).fit(from: start, pull: 1) == start)
        // Every choice is the likelier one: no weight is great enough for the likelihood alone.
        let certain = AnswerBranch(depth: 0, taken: 0, languageModel: [-0.1, -3], encoder: [-0.1, -3])
        let fit = BranchRegression([AnswerBranch](repeating: certain, count: 50)).fit(from: Self.alone, pull: 0.01)
        #expect(FusionWeights.range.contains(fit.languageModel) && FusionWeights.range.contains(fit.encoder))
        #expect(fit.encoder > 0.5)
        // What is impossible for one of them happens all the same.
        let impossible = AnswerBranch(depth: 0, taken: 0, languageModel: [-.infinity, 0], encoder: [0, -1])
        let held = BranchRegression([impossible]).fit(from: Self.alone, pull: 0.01)
        #expect(held.languageModel < 1e-3 && BranchRegression([impossible]).logLikelihood(held) > -1)
    }

    @Test func aKeptWeightIsKept() {
        let branches = branches(5_000, Pair(languageModel: 1, encoder: 0.6))
        let fit = BranchRegression(branches).fit(from: Self.alone, pull: 0.01, keepsLanguageModel: true)
        #expect(fit.languageModel == 1 && abs(fit.encoder - 0.6) < 0.06)
    }

    @Test func eachKindOfBranchHasItsOwnWeights() {
        let pairs = [(0.2, 1.0), (0.9, 0.3), (1.4, 0.1)].map { Pair(languageModel: $0.0, encoder: $0.1) }
        var observations: [FusionLearning.Observation] = []
        for (depth, pair) in pairs.enumerated() {
            for branch in branches(6_000, pair, depth: depth, seed: UInt64(depth)) {
                observations.append(FusionLearning.Observation(branches: [branch]))
            }
        }
        let weights = FusionLearning.weights(observations, kinds: 3)
        for (found, pair) in zip(weights.branches, pairs) {
            #expect(abs(found.languageModel - pair.languageModel) < 0.1 && abs(found.encoder - pair.encoder) < 0.1)
        }
        #expect(weights.late == nil)
        let one = FusionLearning.weights(observations, kinds: 1)
        #expect(one.branches.count == 1)
        let likelihoods = [.languageModelAlone, .encoderAlone, one, weights].map {
            FusionLearning.logLikelihood(observations, $0)
        }
        #expect(likelihoods[3] > likelihoods[2] && likelihoods[2] > max(likelihoods[0], likelihoods[1]))
        // A kind that never occurs has the weights of all.
        let first = observations.filter { $0.branches[0].depth == 0 }
        let rare = FusionLearning.weights(first, kinds: 3)
        #expect(rare.branches[1] == rare.branches[2])
        #expect(abs(rare.branches[2].encoder - rare.branches[0].encoder) < 0.01)
    }
}
