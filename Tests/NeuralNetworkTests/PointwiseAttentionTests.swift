import Foundation
import NeuralNetwork
import Tensors
import TestSupport
import Testing

/// Attention without a softmax, against plain sums in double and against differences of its value.
@Suite struct PointwiseAttentionTests {
    private var source = SeededValues(seed: 23)

    /// Times that are often equal, near and far, in one timeline after another.
    private func times(_ count: Int) -> [Int32] {
        (0..<count).map { [0, 0, 1, 2, 5, 90, 3_600, 90_000, 7_000_000, 900_000_000][$0 % 10] }
    }

    private static func bucket(_ a: Int32, _ b: Int32, of count: Int) -> Int {
        let x = 1 + abs(Double(a) - Double(b))
        let doublings = Int(log2(Float(x)))
        return min(2 * doublings + (Float(x) >= 1.5 * pow(2, Float(doublings)) ? 1 : 0), count - 1)
    }

    @Test(arguments: [1, 5, 64, 67, 150], [false, true])
    mutating func equalsPlainSums(L: Int, causal: Bool) {
        let (B, H, dh, P, buckets) = (3, 2, 5, L + 3, 62)
        let d = H * dh
        let lengths: [Int32] = [Int32(L), Int32(L / 2), 0]
        let starts = [0, L, L + L / 2]
        let rows = L + L / 2
        let packed = source.normal(rows * 3 * d)
        let positions = source.normal(H * (causal ? P : 2 * P - 1))
        let timeBias = source.normal(H * buckets)
        let times = times(rows)
        var expected = [Double](repeating: 0, count: rows * d)
        for b in 0..<B {
            for h in 0..<H {
                for t in 0..<Int(lengths[b]) {
                    for s in 0..<(causal ? t + 1 : Int(lengths[b])) {
                        func value(_ row: Int, _ part: Int, _ i: Int) -> Double {
                            Double(packed[(starts[b] + row) * 3 * d + part * d + h * dh + i])
                        }
                        var score = (0..<dh).reduce(0.0) { $0 + value(t, 1, $1) * value(s, 2, $1) }
                        score += Double(positions[h * positions.count / H + s - t + P - 1])
                        let bucket = Self.bucket(times[starts[b] + t], times[starts[b] + s], of: buckets)
                        score += Double(timeBias[h * buckets + bucket])
                        let weight = score / (1 + exp(-score)) / 7
                        for i in 0..<dh { expected[(starts[b] + t) * d + h * dh + i] += weight * value(s, 0, i) }
                    }
                }
            }
        }
        let graph = Graph(recording: false, seed: 1)
        let found = graph.values(
            of: graph.pointwiseAttention(
                graph.constant(packed, shape: [rows, 3 * d]),
                positionBias: Parameter("positions", Tensor(positions, shape: [H, positions.count / H])),
                timeBias: Parameter("times", Tensor(timeBias, shape: [H, buckets])),
                times: times,
                heads: H,
                causal: causal,
                divisor: 7,
                lengths: lengths
            )
        )
        let worst = zip(found, expected).map { abs(Double($0) - $1) / max(1, abs($1)) }.max() ?? 1
        print("pointwise attention over \(L): worst difference \(worst), tolerance 2e-5")
        #expect(found.count == expected.count && worst < 2e-5)
    }

    @Test(arguments: [false, true])
    mutating func gradientsAgreeWithDifferences(causal: Bool) {
        let (rows, H, dh, P, buckets) = (8, 2, 3, 6, 9)
        let packed = source.parameter("packed", [rows, 3 * H * dh])
        let positions = source.parameter("positions", [H, causal ? P : 2 * P - 1])
        let timeBias = source.parameter("times", [H, buckets])
        let times = times(rows)
        let weights = source.normal(rows * H * dh)
        func loss(_ graph: Graph, _ hasTimes: Bool) -> Variable {
            graph.weightedSum(
                graph.pointwiseAttention(
                    graph.parameter(packed),
                    positionBias: positions,
                    timeBias: hasTimes ? timeBias : nil,
                    times: hasTimes ? times : nil,
                    heads: H,
                    causal: causal,
                    divisor: 2,
                    lengths: hasTimes ? [5, 3] : [2, 6]
                ),
                weights: weights
            )
        }
        GradientCheck.expect([packed, positions, timeBias]) { loss($0, true) }
        GradientCheck.expect([packed, positions]) { loss($0, false) }
    }

    /// More queries than a tile holds: the gradients of keys and values come together from several tiles.
    @Test mutating func gradientsAgreeWithDifferencesAcrossTiles() {
        let (L, H, dh) = (70, 1, 1)
        let packed = source.parameter("packed", [L, 3 * H * dh])
        let positions = source.parameter("positions", [H, L])
        let weights = source.normal(L * H * dh)
        GradientCheck.expect([packed, positions], tolerance: 5e-3) {
            $0.weightedSum(
                $0.pointwiseAttention(
                    $0.parameter(packed),
                    positionBias: positions,
                    heads: H,
                    causal: true,
                    divisor: 8,
                    lengths: [Int32(L)]
                ),
                weights: weights
            )
        }
    }
}
