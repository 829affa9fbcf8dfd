import Foundation
import NeuralNetwork
import Tensors
import TestSupport
import Testing

/// The softmax over a sample, against plain sums in double, differences of its value, and the full softmax.
@Suite struct SampledSoftmaxTests {
    private var source = SeededValues(seed: 29)

    @Test(arguments: [1, 17, 64], [1, 40, 700])
    mutating func equalsPlainSums(M: Int, N: Int) {
        let (d, V) = (6, 30)
        let (x, table) = (source.normal(N * d), source.normal(V * d))
        let targets = source.indices(N, below: V)
        let shared = SharedNegatives(ids: source.indices(M, below: V), biases: source.normal(M))
        func dot(_ row: Int, _ item: Int32) -> Double {
            (0..<d).reduce(0) { $0 + Double(x[row * d + $1]) * Double(table[Int(item) * d + $1]) }
        }
        let expected = targets.enumerated().reduce(0.0) { sum, target in
            let own = dot(target.offset, target.element)
            let others = zip(shared.ids, shared.biases).filter { $0.0 != target.element }
            let rest = others.reduce(0.0) { $0 + exp(dot(target.offset, $1.0) + Double($1.1)) }
            return sum + log(exp(own) + rest) - own
        }
        let graph = Graph(recording: false, seed: 1)
        let rows = graph.constant(table, shape: [V, d])
        let found = graph.values(
            of: graph.sampledCrossEntropy(
                graph.constant(x, shape: [N, d]),
                positives: graph.gatherRows(rows, targets),
                negatives: graph.gatherRows(rows, shared.ids),
                targets: targets,
                shared: shared
            )
        )[0]
        #expect(abs(Double(found) - expected) < 1e-5 * max(1, expected), "\(found), expected \(expected)")
    }

    @Test mutating func gradientsAgreeWithDifferences() {
        let (x, table) = (source.parameter("x", [5, 3]), source.parameter("table", [7, 3]))
        let targets: [Int32] = [0, 6, 3, 3, 2]
        // One negative is nobody's target, one is that of two rows, one occurs twice.
        let shared = SharedNegatives(ids: [1, 3, 5, 5, 0], biases: [0.5, -1, 0, 0.25, 2])
        GradientCheck.expect([x, table]) {
            let rows = $0.parameter(table)
            let loss = $0.sampledCrossEntropy(
                $0.parameter(x),
                positives: $0.gatherRows(rows, targets),
                negatives: $0.gatherRows(rows, shared.ids),
                targets: targets,
                shared: shared
            )
            return $0.scale(loss, 0.3)
        }
    }

    @Test func anItemIsNeverItsOwnNegative() {
        let graph = Graph(recording: false, seed: 1)
        let rows = graph.constant([1, 2, 3, 4], shape: [2, 2])
        let loss = graph.sampledCrossEntropy(
            graph.constant([50, 50], shape: [1, 2]),
            positives: graph.gatherRows(rows, [1]),
            negatives: graph.gatherRows(rows, [1, 1]),
            targets: [1],
            shared: SharedNegatives(ids: [1, 1], biases: [0, 0])
        )
        #expect(graph.values(of: loss) == [0])
    }

    @Test mutating func withEveryItemOnceItIsTheFullSoftmax() {
        let (N, V, d) = (9, 40, 8)
        let (x, table) = (source.parameter("x", [N, d]), source.parameter("table", [V, d]))
        let targets = source.indices(N, below: V)
        let graph = Graph(recording: true, seed: 1)
        let full = graph.crossEntropy(graph.parameter(x), weight: graph.parameter(table), targets: targets)
        graph.backward(full)
        let (loss, gradient) = (graph.values(of: full)[0], graph.gradient(of: table)?.values ?? [])
        graph.reset()
        let all = (0..<Int32(V)).map { $0 }
        let sampled = graph.sampledCrossEntropy(
            graph.parameter(x),
            positives: graph.embedding(table, targets),
            negatives: graph.parameter(table),
            targets: targets,
            shared: SharedNegatives(ids: all, biases: all.map { _ in 0 })
        )
        graph.backward(sampled)
        #expect(abs(graph.values(of: sampled)[0] - loss) < 1e-4)
        let worst = zip(graph.gradient(of: table)?.values ?? [], gradient).map { abs($0 - $1) }.max() ?? 1
        #expect(gradient.count == V * d && worst < 1e-5, "worst difference \(worst)")
    }
}
