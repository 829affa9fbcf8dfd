import NeuralNetwork
import Tensors
import TestSupport
import Testing

@Suite struct GraphTests {
    @Test func aClosedGateLeavesTheInputBitIdentical() {
        let gate = Parameter.zeros("gate", [1])
        let graph = Graph(recording: true, seed: 1)
        let x = Tensor([1, -0.0, 0, 1e-30, -7], shape: [5])
        let y = graph.constant([.infinity, 1, -.nan, 3, 4], shape: [5])
        let sum = graph.gatedAdd(graph.constant(x), y, gate: gate)
        #expect(graph.tensor(of: sum).isBitIdentical(to: x))
    }

    @Test func frozenParametersGetNoGradient() {
        var source = SeededValues(seed: 1)
        let (frozen, trained) = (source.parameter("frozen", [3, 3]), source.parameter("trained", [3, 3]))
        frozen.isTrainable = false
        let graph = Graph(recording: true, seed: 1)
        let x = graph.constant([1, 2, 3], shape: [1, 3])
        let hidden = graph.gelu(graph.linear(x, weight: frozen, bias: nil))
        let out = graph.linear(hidden, weight: trained, bias: nil)
        graph.backward(graph.weightedSum(out, weights: [1, 1, 1]))
        #expect(graph.gradient(of: frozen) == nil)
        #expect(graph.gradient(of: trained) != nil)
    }

    @Test func gradientsPassThroughFrozenParameters() throws {
        var source = SeededValues(seed: 1)
        let (below, frozen) = (source.parameter("below", [3, 3]), source.parameter("frozen", [3, 3]))
        frozen.isTrainable = false
        let x = source.normal(6)
        GradientCheck.expect([below]) { graph in
            let hidden = graph.linear(graph.constant(x, shape: [2, 3]), weight: below, bias: nil)
            return graph.weightedSum(graph.linear(hidden, weight: frozen, bias: nil), weights: [1, 2, 3, 4, 5, 6])
        }
    }

    @Test func gradientsAddUpUntilReset() throws {
        let x = Parameter("x", Tensor([2], shape: [1]))
        let graph = Graph(recording: true, seed: 1)
        for _ in 0..<2 { graph.backward(graph.weightedSum(graph.parameter(x), weights: [3])) }
        #expect(graph.gradient(of: x)?.values == [6])
        graph.reset()
        #expect(graph.gradient(of: x) == nil)
    }

    @Test func aVariableOffTheLossTakesNoPart() {
        let (x, y) = (Parameter("x", Tensor([2], shape: [1])), Parameter("y", Tensor([2], shape: [1])))
        let graph = Graph(recording: true, seed: 1)
        _ = graph.gelu(graph.parameter(y))
        graph.backward(graph.weightedSum(graph.parameter(x), weights: [3]))
        #expect(graph.gradient(of: y) == nil)
    }

    @Test func lookupsGiveTheRowsAskedFor() {
        let table = Parameter("table", Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2]))
        let graph = Graph(recording: false, seed: 1)
        #expect(graph.values(of: graph.embedding(table, [2, -1, 0])) == [5, 6, 0, 0, 1, 2])
        let bags = graph.embeddingMean(table, indices: [0, 1, 2, -1, 1], offsets: [0, 2, 2, 4, 5])
        #expect(graph.values(of: bags) == [2, 3, 0, 0, 5, 6, 3, 4])
        let steps = graph.reshaped(graph.parameter(table), [1, 3, 2])
        #expect(graph.values(of: graph.maskedMean(steps, lengths: [2])) == [2, 3])
        #expect(graph.values(of: graph.maskedMean(steps, lengths: [0])) == [0, 0])
        let blocks = graph.reshaped(graph.parameter(table), [3, 1, 2])
        #expect(graph.values(of: graph.gatherBlocks(blocks, [1, 1])) == [3, 4, 3, 4])
        #expect(
            graph.values(of: graph.repeated(graph.parameter(table), times: 2)) == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]
        )
        let side = graph.concatenate([graph.parameter(table), graph.columns(of: graph.parameter(table), 1..<2)])
        #expect(graph.values(of: side) == [1, 2, 2, 3, 4, 4, 5, 6, 6])
    }

    @Test func inferenceDropsNothing() {
        let graph = Graph(recording: false, seed: 1)
        let x = graph.constant([1, 2, 3], shape: [3])
        #expect(graph.values(of: graph.dropout(x, probability: 0.9)) == [1, 2, 3])
    }

    @Test func inferenceFreesWhatIsNotUsedAnyMore() {
        let graph = Graph(recording: false, seed: 1)
        var x = graph.constant([Float](repeating: 1, count: 100), shape: [10, 10])
        for _ in 0..<50 { x = graph.gelu(graph.scale(x, 0.5)) }
        #expect(graph.allocationCount <= 3)
    }

    @Test func stepsThatAreAlikeAllocateNothing() {
        var source = SeededValues(seed: 1)
        let (table, weight) = (source.parameter("table", [9, 8]), source.parameter("weight", [8, 8]))
        let graph = Graph(recording: true, seed: 1)
        var counts: [Int] = []
        for _ in 0..<4 {
            graph.reset()
            var x = graph.embedding(table, [1, 2, 3, 4])
            for _ in 0..<3 {
                x = graph.add(x, graph.dropout(graph.linear(x, weight: weight, bias: nil), probability: 0.1))
            }
            graph.backward(graph.crossEntropy(x, weight: graph.parameter(table), targets: [2, 3, 4, 5]))
            counts.append(graph.allocationCount)
        }
        #expect(counts[1...].allSatisfy { $0 == counts[1] }, "\(counts)")
    }

    @Test func dropoutMasksFollowTheSeed() {
        func mask(_ seed: UInt64, calls: Int = 1) -> [Float] {
            let graph = Graph(recording: true, seed: 0)
            graph.reset(seed: seed)
            let x = graph.constant([Float](repeating: 1, count: 1000), shape: [1000])
            return (0..<calls).map { _ in graph.values(of: graph.dropout(x, probability: 0.25)) }[calls - 1]
        }
        #expect(mask(1) == mask(1))
        #expect(mask(1) != mask(2))
        #expect(mask(1) != mask(1, calls: 2))
        let kept = mask(1).count { $0 != 0 }
        #expect((700...800).contains(kept), "\(kept) of 1,000 kept at probability 0.25")
        #expect(mask(1).allSatisfy { $0 == 0 || $0 == 1 / 0.75 })
    }
}
