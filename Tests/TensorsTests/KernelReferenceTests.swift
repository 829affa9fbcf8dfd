import Foundation
@testable import Tensors
import TestSupport
import Testing

/// Kernels against plain Swift in double, in sizes below, at and beside the width of vector registers.
@Suite struct KernelReferenceTests {
    private static let widths = [1, 3, 15, 16, 17, 64, 67, 129]
    private let pool = BufferPool()
    private var source = SeededValues(seed: 11)

    @Test func exponentialIsAccurateToItsStatedError() {
        let values = (-86_900...87_900).map { Float($0) / 1000 }
        let found = Activations.exponential(pool.tensor(values, shape: [values.count]), pool: pool).values
        let worst = zip(found, values).map { abs(Double($0) / exp(Double($1)) - 1) }.max() ?? 1
        print("exponential: worst relative difference \(worst), tolerance 2e-7")
        #expect(worst < 2e-7)
        let edges = Activations.exponential(pool.tensor([-.infinity, -1e9, 0, .nan], shape: [4]), pool: pool).values
        #expect(edges[0] < 1e-37 && edges[1] < 1e-37 && edges[2] == 1 && edges[3].isNaN)
    }

    @Test func aNumberThatIsNotFiniteIsFoundWhereverItStands() {
        for count in [1, 15, 16, 17, 4_095, 4_096, 4_097, 9_000] {
            let tensor = pool.tensor([Float](repeating: -.greatestFiniteMagnitude, count: count), shape: [count])
            #expect(tensor.firstNotFinite == nil && tensor.isFinite)
            for place in Set([0, count / 2, count - 1, min(4_096, count - 1)]) {
                for value in [Float.nan, .signalingNaN, -.nan, .infinity, -.infinity] {
                    var values = tensor.values
                    values[place] = value
                    values[count - 1] = value
                    #expect(pool.tensor(values, shape: [count]).firstNotFinite == place)
                }
            }
        }
        #expect(pool.tensor([], shape: [0]).firstNotFinite == nil)
        let small: [Float] = [0, -0.0, .leastNonzeroMagnitude, 1e-38, 65_504]
        #expect(pool.tensor(small, shape: [5]).isFinite)
    }

    @Test func activations() {
        let values = (-3000...3000).map { Float($0) / 100 }
        let x = pool.tensor(values, shape: [values.count])
        let gelu = values.map { value in
            let v = Double(value)
            return 0.5 * v * (1 + tanh((2 / Double.pi).squareRoot() * (v + 0.044715 * v * v * v)))
        }
        expectClose(Activations.gelu(x, pool: pool).values, gelu, tolerance: 1e-6, "gelu")
        let silu = values.map { Double($0) / (1 + exp(-Double($0))) }
        expectClose(Activations.silu(x, pool: pool).values, silu, tolerance: 1e-6, "silu")
        let gated = zip(silu, values).map { $0 * Double($1) }
        expectClose(Activations.swiGLU(gate: x, up: x, pool: pool).values, gated, tolerance: 1e-6, "swiGLU")
    }

    @Test(arguments: widths)
    mutating func normalizations(d: Int) {
        let x = source.normal(5 * d, deviation: 3)
        let (gain, bias) = (source.normal(d), source.normal(d))
        var (layer, rms): ([Double], [Double]) = ([], [])
        for r in 0..<5 {
            let row = x[r * d..<(r + 1) * d].map(Double.init)
            let mean = row.reduce(0, +) / Double(d)
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(d)
            let square = row.reduce(0) { $0 + $1 * $1 } / Double(d)
            for (i, value) in row.enumerated() {
                layer.append((value - mean) / (variance + 1e-5).squareRoot() * Double(gain[i]) + Double(bias[i]))
                rms.append(value / (square + 1e-5).squareRoot() * Double(gain[i]))
            }
        }
        let (input, g) = (pool.tensor(x, shape: [5, d]), pool.tensor(gain, shape: [d]))
        let b = pool.tensor(bias, shape: [d])
        let found = LayerNorm.forward(input, gain: g, bias: b, epsilon: 1e-5, pool: pool)
        expectClose(found.output.values, layer, tolerance: 2e-5, "layer norm of \(d)")
        let root = RMSNorm.forward(input, gain: g, epsilon: 1e-5, pool: pool)
        expectClose(root.output.values, rms, tolerance: 2e-6, "RMS norm of \(d)")
    }

    @Test(arguments: widths)
    mutating func sums(d: Int) {
        let (a, b, row) = (source.normal(7 * d), source.normal(7 * d), source.normal(d))
        let (x, y) = (pool.tensor(a, shape: [7, d]), pool.tensor(b, shape: [7, d]))
        let line = pool.tensor(row, shape: [d])
        expectClose(
            Elementwise.add(x, y, pool: pool).values,
            zip(a, b).map { Double($0) + Double($1) },
            tolerance: 1e-6,
            "add"
        )
        let rows = a.indices.map { Double(a[$0]) + Double(row[$0 % d]) }
        expectClose(Elementwise.addRows(x, line, pool: pool).values, rows, tolerance: 1e-6, "addRows")
        let total = pool.tensor([d])
        Elementwise.sumRows(x, into: total, accumulate: false)
        let columns = (0..<d).map { i in (0..<7).reduce(0) { $0 + Double(a[$1 * d + i]) } }
        expectClose(total.values, columns, tolerance: 1e-6, "sumRows")
        Elementwise.sumRows(x, into: total, accumulate: true)
        expectClose(total.values, columns.map { 2 * $0 }, tolerance: 1e-6, "sumRows, added")
        let dot = zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(Elementwise.dot(x, y) - dot) < 1e-4)
        #expect(abs(x.sumOfSquares - a.reduce(0) { $0 + Double($1) * Double($1) }) < 1e-3)
    }

    @Test(arguments: widths)
    mutating func linear(d: Int) {
        let (x, w, bias) = (source.normal(5 * d), source.normal(3 * d), source.normal(3))
        let weight = pool.tensor(w, shape: [3, d])
        let expected = (0..<15).map { place in
            (0..<d).reduce(Double(bias[place % 3])) {
                $0 + Double(x[place / 3 * d + $1]) * Double(w[place % 3 * d + $1])
            }
        }
        let found = Linear.forward(
            pool.tensor(x, shape: [5, d]),
            weight: weight,
            bias: pool.tensor(bias, shape: [3]),
            shape: [5, 3],
            pool: pool
        )
        expectClose(found.values, expected, tolerance: 1e-5, "linear of \(d)")
    }

    @Test(arguments: [(1, 1), (5, 5), (3, 19), (33, 33), (1, 67)], [false, true])
    mutating func attention(size: (queries: Int, keys: Int), causal: Bool) {
        let (T, S, H, dh) = (size.queries, size.keys, 4, 6)
        let lengths: [Int32] = [Int32(S), Int32(S / 2), 0]
        let blocks: [Int32] = [1, 0, 1]
        let (q, k, v) = (source.normal(3 * T * H * dh), source.normal(2 * S * 2 * dh), source.normal(2 * S * 2 * dh))
        var expected = [Double](repeating: 0, count: q.count)
        for b in 0..<3 {
            for h in 0..<H {
                for t in 0..<T {
                    let visible = min(Int(lengths[b]), causal ? t + S - T + 1 : S)
                    let (qStart, kHead) = ((b * T + t) * H * dh + h * dh, h / 2 * dh)
                    func keyStart(_ s: Int) -> Int { (Int(blocks[b]) * S + s) * 2 * dh + kHead }
                    let scores = (0..<max(visible, 0)).map { s in
                        (0..<dh).reduce(0.0) { $0 + Double(q[qStart + $1]) * Double(k[keyStart(s) + $1]) }
                    }
                    let powers = scores.map { exp($0 / Double(dh).squareRoot()) }
                    let total = powers.reduce(0, +)
                    for (s, power) in powers.enumerated() {
                        for i in 0..<dh { expected[qStart + i] += power / total * Double(v[keyStart(s) + i]) }
                    }
                }
            }
        }
        let attention = Attention(
            query: [3, T, H * dh],
            key: [2, S, 2 * dh],
            heads: H,
            keyValueHeads: 2,
            causal: causal,
            keyLengths: lengths,
            keyBlocks: blocks
        )
        let found = attention.forward(
            q: pool.tensor(q, shape: [3, T, H * dh]),
            k: pool.tensor(k, shape: [2, S, 2 * dh]),
            v: pool.tensor(v, shape: [2, S, 2 * dh]),
            pool: pool
        )
        expectClose(found.output.values, expected, tolerance: 1e-5, "attention of \(T) over \(S)")
    }

    @Test func rotaryTurnsHalvesAgainstEachOther() {
        let x: [Float] = [1, 2, 3, 4, 5, 6, 7, 8]
        let table = RotaryTable(width: 4, base: 100)
        let out = pool.tensor([2, 4])
        table.rotate(pool.tensor(x, shape: [2, 4]), positions: [0, 1000], into: out)
        let (c0, s0, c1, s1) = (cos(1000.0), sin(1000.0), cos(100.0), sin(100.0))
        let turned = [5 * c0 - 7 * s0, 6 * c1 - 8 * s1, 7 * c0 + 5 * s0, 8 * c1 + 6 * s1]
        expectClose(out.values, [1, 2, 3, 4] + turned, tolerance: 1e-6, "rotary")
    }

    @Test(arguments: widths)
    mutating func crossEntropy(V: Int) {
        let (d, N) = (5, 6)
        let (x, w, bias) = (source.normal(N * d), source.normal(V * d), source.normal(V))
        let targets = source.indices(N - 1, below: V) + [-1]
        let weights: [Float] = [1, 2, 0.5, 1, 1, 9]
        var (expected, logits) = (0.0, [Float]())
        for n in 0..<N {
            let row = (0..<V).map { i in
                (0..<d).reduce(Double(bias[i])) { $0 + Double(x[n * d + $1]) * Double(w[i * d + $1]) }
            }
            logits += row.map { Float($0) }
            guard targets[n] >= 0 else { continue }
            expected += Double(weights[n]) * (log(row.reduce(0) { $0 + exp($1) }) - row[Int(targets[n])])
        }
        let tied = CrossEntropy.tied(
            pool.tensor(x, shape: [N, d]),
            weight: pool.tensor(w, shape: [V, d]),
            bias: pool.tensor(bias, shape: [V]),
            targets: targets,
            rowWeights: weights,
            needs: (false, false, false),
            pool: pool
        )
        #expect(abs(tied.loss - expected) < 1e-4, "V \(V): \(tied.loss), expected \(expected)")
        let every = CandidateSets([[Int32]](repeating: (0..<Int32(V)).map { $0 }, count: N))
        for candidates in [nil, every] {
            let direct = CrossEntropy.logits(
                pool.tensor(logits, shape: [N, V]),
                targets: targets,
                candidates: candidates,
                rowWeights: weights,
                needsGradient: false,
                pool: pool
            )
            #expect(abs(direct.loss - expected) < 1e-4, "V \(V): \(direct.loss), expected \(expected)")
        }
    }

    @Test mutating func chunksOfTheLossJoinSeamlessly() {
        // More rows than a chunk holds, some left out in between, against one row at a time.
        let (N, V, d) = (1200, 31, 4)
        let x = pool.tensor(source.normal(N * d), shape: [N, d])
        let w = pool.tensor(source.normal(V * d), shape: [V, d])
        var targets = source.indices(N, below: V)
        for n in stride(from: 5, to: 700, by: 7) { targets[n] = -1 }
        func result(_ targets: [Int32]) -> CrossEntropy.Result {
            CrossEntropy.tied(
                x,
                weight: w,
                bias: nil,
                targets: targets,
                rowWeights: nil,
                needs: (true, true, false),
                pool: pool
            )
        }
        let whole = result(targets)
        var (loss, dx, dw) = (0.0, [Float](repeating: 0, count: N * d), [Float](repeating: 0, count: V * d))
        for start in stride(from: 0, to: N, by: 100) {
            let part = result(targets.indices.map { start..<start + 100 ~= $0 ? targets[$0] : -1 })
            loss += part.loss
            for (i, value) in (part.input?.values ?? []).enumerated() { dx[i] += value }
            for (i, value) in (part.weight?.values ?? []).enumerated() { dw[i] += value }
        }
        #expect(abs(whole.loss - loss) < 1e-3)
        expectClose(whole.input?.values ?? [], dx.map(Double.init), tolerance: 1e-6, "gradient of the hidden states")
        expectClose(whole.weight?.values ?? [], dw.map(Double.init), tolerance: 1e-4, "gradient of the table")
    }

    @Test func dropoutKeepsTheExpectedShare() {
        let count = 100_001
        let ones = pool.tensor([Float](repeating: 1, count: count), shape: [count])
        for (probability, key) in [(Float(0.1), UInt64(3)), (0.5, 4), (0.9, 1 << 40)] {
            let out = pool.tensor([count])
            Activations.dropout(ones, probability: probability, key: key, into: out, accumulate: false)
            let kept = Float(out.values.count { $0 != 0 }) / Float(count)
            #expect(abs(kept - (1 - probability)) < 0.008, "kept \(kept) at probability \(probability)")
        }
    }
}
