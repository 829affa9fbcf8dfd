import Foundation
@testable import Tensors
import TestSupport
import Testing

/// Attention over more queries than a block holds, forward and backward, against plain sums in double.
@Suite struct AttentionTests {
    private var source = SeededValues(seed: 8)
    private let pool = BufferPool()

    private struct Plain {
        var output: [Double]
        var dq: [Double]
        var dk: [Double]
        var dv: [Double]
    }

    /// One head of one sequence: q, k, v and the output's gradient, [T, d] each.
    private static func plain(q: [Float], k: [Float], v: [Float], gradient: [Float], d: Int, causal: Bool) -> Plain {
        let T = q.count / d
        let zeros = [Double](repeating: 0, count: T * d)
        var result = Plain(output: zeros, dq: zeros, dk: zeros, dv: zeros)
        let scale = 1 / Double(d).squareRoot()
        func dot(_ a: [Float], _ i: Int, _ b: [Float], _ j: Int) -> Double {
            (0..<d).reduce(0) { $0 + Double(a[i * d + $1]) * Double(b[j * d + $1]) }
        }
        for t in 0..<T {
            let keys = causal ? t + 1 : T
            let powers = (0..<keys).map { exp(dot(q, t, k, $0) * scale) }
            let total = powers.reduce(0, +)
            let p = powers.map { $0 / total }
            let dp = (0..<keys).map { dot(gradient, t, v, $0) }
            let delta = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
            for s in 0..<keys {
                let ds = p[s] * (dp[s] - delta) * scale
                for i in 0..<d {
                    result.output[t * d + i] += p[s] * Double(v[s * d + i])
                    result.dv[s * d + i] += p[s] * Double(gradient[t * d + i])
                    result.dq[t * d + i] += ds * Double(k[s * d + i])
                    result.dk[s * d + i] += ds * Double(q[t * d + i])
                }
            }
        }
        return result
    }

    @Test(arguments: [1, 64, 65, 150], [false, true])
    mutating func blocksJoinSeamlessly(T: Int, causal: Bool) {
        let d = 6
        let (q, k, v, gradient) = (
            source.normal(T * d), source.normal(T * d), source.normal(T * d), source.normal(T * d)
        )
        let expected = Self.plain(q: q, k: k, v: v, gradient: gradient, d: d, causal: causal)
        for (precision, tolerance) in [(Precision.float32, 1e-5), (.bfloat16, 0.03)] {
            let attention = Attention(
                query: [1, T, d],
                key: [1, T, d],
                heads: 1,
                keyValueHeads: 1,
                causal: causal,
                keyLengths: nil,
                keyBlocks: nil,
                precision: precision
            )
            let tensors = [q, k, v, gradient].map { pool.tensor($0, shape: [1, T, d]) }
            let (output, sums) = attention.forward(q: tensors[0], k: tensors[1], v: tensors[2], pool: pool)
            let found = attention.backward(
                q: tensors[0],
                k: tensors[1],
                v: tensors[2],
                output: output,
                logSums: sums,
                gradient: tensors[3],
                pool: pool
            )
            expectClose(output.values, expected.output, tolerance: tolerance, "output, \(precision)")
            expectClose(found.q.values, expected.dq, tolerance: tolerance, "gradient of q, \(precision)")
            expectClose(found.k.values, expected.dk, tolerance: tolerance, "gradient of k, \(precision)")
            expectClose(found.v.values, expected.dv, tolerance: tolerance, "gradient of v, \(precision)")
        }
    }

    @Test(arguments: [false, true])
    mutating func sequencesEndToEndAreAsIfAlone(causal: Bool) {
        let (lengths, heads, d): ([Int32], Int, Int) = ([3, 0, 130, 1, 64], 2, 10)
        let rows = Int(lengths.reduce(0, +))
        let inputs = (0..<4).map { _ in source.normal(rows * d) }
        let attention = Attention(lengths: lengths, width: d, heads: heads, causal: causal)
        let whole = run(attention, inputs, shape: [rows, d])
        var start = 0
        for length in lengths.map(Int.init) where length > 0 {
            let alone = Attention(lengths: [Int32(length)], width: d, heads: heads, causal: causal)
            let range = start * d..<(start + length) * d
            let parts = run(alone, inputs.map { Array($0[range]) }, shape: [length, d])
            for (part, all) in zip(parts, whole) {
                expectClose(Array(all[range]), part.map(Double.init), tolerance: 1e-6, "sequence at row \(start)")
            }
            start += length
        }
    }

    @Test func aLongTimelineHoldsNoSquareOfItsLength() {
        // Two heads of 1,500 rows would be 18 MB of scores; blocks of them are less than 1 MB.
        let (T, d) = (1_500, 4)
        let attention = Attention(lengths: [Int32(T)], width: d, heads: 2, causal: true)
        let pool = BufferPool()
        let x = pool.tensor([Float](repeating: 1, count: T * d), shape: [T, d])
        let (output, sums) = attention.forward(q: x, k: x, v: x, pool: pool)
        let found = attention.backward(
            q: x,
            k: x,
            v: x,
            output: output,
            logSums: sums,
            gradient: x,
            pool: pool
        )
        #expect(pool.allocatedBytes < 3_000_000, "\(pool.allocatedBytes) bytes")
        // Equal keys weigh the same, and equal values make the choice among them indifferent.
        expectClose(output.values, [Double](repeating: 1, count: T * d), tolerance: 1e-5, "output")
        expectClose(found.q.values, [Double](repeating: 0, count: T * d), tolerance: 1e-4, "gradient of q")
        let harmonic = (1...T).reduce(0.0) { $0 + 1 / Double($1) }
        #expect(abs(Double(found.v[0]) - harmonic) < 1e-3, "the first value is seen by all: \(found.v[0])")
    }

    private func run(_ attention: Attention, _ inputs: [[Float]], shape: [Int]) -> [[Float]] {
        let tensors = inputs.map { pool.tensor($0, shape: shape) }
        let (output, sums) = attention.forward(q: tensors[0], k: tensors[1], v: tensors[2], pool: pool)
        let found = attention.backward(
            q: tensors[0],
            k: tensors[1],
            v: tensors[2],
            output: output,
            logSums: sums,
            gradient: tensors[3],
            pool: pool
        )
        return [output, found.q, found.k, found.v].map(\.values)
    }
}
