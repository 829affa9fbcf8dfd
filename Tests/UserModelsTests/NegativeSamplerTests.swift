import Foundation
import Bytes
import NeuralNetwork
import Tensors
import Testing
import UserModels

@Suite struct NegativeSamplerTests {
    private func sampler(
        _ negatives: ItemLoss.Negatives,
        count: Int = 20_000,
        corrects: Bool = true,
        counts: [Int]
    ) -> NegativeSampler {
        var loss = ItemLoss()
        (loss.kind, loss.negatives, loss.negativeCount, loss.correctsSampling) = (.sampled, negatives, count, corrects)
        return NegativeSampler(loss: loss, trainingCounts: counts)
    }

    @Test func drawsAsOftenAsTheDistributionSays() throws {
        let counts = [0, 9, 89, 899]
        let expected: [(ItemLoss.Negatives, [Double])] = [
            (.uniform, [0.25, 0.25, 0.25, 0.25]),
            (.popularity, [0.001, 0.01, 0.09, 0.9].map { $0 / 1.001 }),
            // Ranks 4, 3, 2, 1 by how often the items occur.
            (.logUniform, [5.0 / 4, 4.0 / 3, 3.0 / 2, 2].map { log($0) / log(5) }),
        ]
        for (negatives, shares) in expected {
            var random = SeededRandom(seed: 1)
            let drawn = try #require(
                sampler(negatives, corrects: false, counts: counts).negatives(for: [], using: &random)
            )
            #expect(drawn.ids == drawn.ids.sorted() && Set(drawn.ids).count == drawn.ids.count)
            for (item, bias) in zip(drawn.ids, drawn.biases) {
                let share = exp(Double(bias)) / 20_000
                #expect(abs(share - shares[Int(item)]) < 0.015, "\(negatives) draws item \(item) with \(share)")
            }
        }
    }

    @Test(arguments: ItemLoss.Negatives.allCases)
    func withTheCorrectionTheLossComesToTheFullOne(negatives: ItemLoss.Negatives) throws {
        let (V, d, N) = (40, 6, 5_000)
        var random = SeededRandom(seed: 2)
        let counts = (0..<V).map { 40 * ($0 + 1) }
        let table = Parameter.normal("table", [V, d], deviation: 0.5, using: &random)
        // Targets occur as often as in training, as they do in a batch.
        let popular = sampler(.popularity, count: N, counts: counts)
        let drawn = try #require(popular.negatives(for: [], using: &random))
        let plain = try #require(
            sampler(.popularity, count: N, corrects: false, counts: counts).negatives(for: [], using: &random)
        )
        #expect(drawn.ids.count == V)
        let targets = zip(plain.ids, plain.biases).flatMap { [Int32](repeating: $0, count: Int(exp($1).rounded())) }
        let x = Parameter.normal("x", [targets.count, d], deviation: 0.5, using: &random)
        let graph = Graph(recording: false, seed: 1)
        let full = graph.crossEntropy(graph.parameter(x), weight: graph.parameter(table), targets: targets)
        let shared = try #require(
            sampler(negatives, counts: counts).negatives(for: targets, using: &random)
        )
        let sampled = graph.sampledCrossEntropy(
            graph.parameter(x),
            positives: graph.embedding(table, targets),
            negatives: graph.embedding(table, shared.ids),
            targets: targets,
            shared: shared
        )
        let (expected, found) = (graph.values(of: full)[0], graph.values(of: sampled)[0])
        #expect(abs(found / expected - 1) < 0.01, "\(found), the full loss is \(expected)")
    }

    @Test func theSameSeedDrawsTheSame() {
        let sampler = sampler(.logUniform, count: 100, counts: (0..<1_000).map { $0 % 7 })
        var (first, second) = (SeededRandom(seed: 3), SeededRandom(seed: 3))
        #expect(sampler.negatives(for: [], using: &first) == sampler.negatives(for: [], using: &second))
    }

    @Test func theFullLossDrawsNothing() {
        var random = SeededRandom(seed: 1)
        let before = random
        let sampler = NegativeSampler(loss: ItemLoss(), trainingCounts: [1, 2])
        #expect(sampler.negatives(for: [0, 1], using: &random) == nil)
        #expect(random == before)
    }
}
