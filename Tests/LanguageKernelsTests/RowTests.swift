import CLanguageKernels
import Testing

extension KernelTests {
    /// Operations on rows, and on logits.
    @Suite struct Rows {
        static let widths = [1, 8, 15, 16, 40, 64, 100, 576]

        @Test(arguments: widths)
        func rmsNormIsTheFormula(width: Int) {
            var generator = Generator(UInt64(width))
            let (x, weight) = (generator.values(5 * width, scale: 3), generator.values(width))
            let expected = (0..<5).flatMap { r in
                let row = x[r * width..<(r + 1) * width].map(Double.init)
                let root = (row.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-5).squareRoot()
                return zip(row, weight).map { $0 / root * Double($1) }
            }
            withEachVariant { variant in
                var out = [Float](repeating: 0, count: 5 * width)
                lk_rms_norm(&out, Int64(width), x, Int64(width), weight, 5, Int64(width), 1e-5)
                // Values below 9, a few roundings of 6e-8 each.
                #expect(distance(out, expected) < 5e-6, "\(variant)")
                var inPlace = x
                inPlace.withUnsafeMutableBufferPointer { x in
                    lk_rms_norm(x.baseAddress, Int64(width), x.baseAddress, Int64(width), weight, 5, Int64(width), 1e-5)
                }
                #expect(bits(inPlace) == bits(out), "\(variant)")
            }
        }

        @Test(arguments: [2, 16, 20, 64, 128])
        func rotationTurnsPairsOfHalves(width: Int) {
            var generator = Generator(UInt64(width))
            let (half, heads) = (width / 2, 3)
            let x = generator.values(4 * heads * width)
            let (cosines, sines) = (generator.values(10 * half), generator.values(10 * half))
            let positions: [Int32] = [9, 0, 4, 4]
            var expected = x.map(Double.init)
            for row in 0..<4 {
                for i in 0..<heads * half {
                    let at = row * heads * width + i / half * width + i % half
                    let place = Int(positions[row]) * half + i % half
                    let (c, s) = (Double(cosines[place]), Double(sines[place]))
                    expected[at] = Double(x[at]) * c - Double(x[at + half]) * s
                    expected[at + half] = Double(x[at + half]) * c + Double(x[at]) * s
                }
            }
            withEachVariant { variant in
                var out = x
                lk_rotary(&out, Int64(heads * width), cosines, sines, positions, 4, Int64(heads), Int64(width))
                #expect(distance(out, expected) < 3e-6, "\(variant)")
            }
        }

        @Test(arguments: widths)
        func siluAndSums(count: Int) {
            var generator = Generator(UInt64(count))
            let (gate, up) = (generator.values(count, scale: 5), generator.values(count))
            let expected = zip(gate, up).map { g, u in
                let e = exponential(-abs(Double(g)))
                return Double(g) * (g < 0 ? e / (1 + e) : 1 / (1 + e)) * Double(u)
            }
            let sums = zip(gate, up).map { Double($0) * 0.25 + Double($1) }
            withEachVariant { variant in
                var out = [Float](repeating: 0, count: count)
                lk_silu_multiply(&out, gate, up, Int64(count))
                #expect(distance(out, expected) < 1e-5, "\(variant)")
                var added = up
                lk_add_scaled(&added, gate, 0.25, Int64(count))
                #expect(distance(added, sums) < 1e-6, "\(variant)")
                // A value's place in the call does not alter it.
                var alone: Float = 0
                lk_silu_multiply(&alone, [gate[count - 1]], [up[count - 1]], 1)
                #expect(alone.bitPattern == out[count - 1].bitPattern, "\(variant)")
            }
        }

        @Test func extremesOfSilu() {
            let gate: [Float] = [0, -0.0, 200, -200, .infinity, -1e30, .nan, 88.5, -88.5]
            let up = [Float](repeating: 2, count: gate.count)
            withEachVariant { variant in
                var out = [Float](repeating: 0, count: gate.count)
                lk_silu_multiply(&out, gate, up, Int64(gate.count))
                #expect(out[2] == 400 && out[4] == .infinity && out[6].isNaN && out[7] == 177, "\(variant): \(out)")
                #expect(out[0] == 0 && out[1] == 0, "\(variant): \(out)")
                #expect(abs(out[3]) < 1e-30 && abs(out[5]) < 1e-6 && abs(out[8]) < 1e-30, "\(variant): \(out)")
            }
        }

        // MARK: - Logits

        @Test(arguments: [1, 7, 16, 31, 1000, 49_152])
        func theLargestAndTheSoftmaxsLogarithm(count: Int) {
            var generator = Generator(UInt64(count))
            var x = generator.values(count, scale: 4)
            let place = Int.random(in: 0..<count, using: &generator)
            x[place] = 14
            x[count - 1] = 14
            let first = x.firstIndex(of: 14) ?? -1
            let sum = x.reduce(0.0) { $0 + exponential(Double($1) - 14) }
            var logs: [Float] = []
            withEachVariant { variant in
                #expect(lk_argmax(x, Int64(count)) == Int64(first), "\(variant)")
                let logSum = lk_log_sum_exp(x, Int64(count))
                // e^(found - 14) = the sum.
                #expect(abs(exponential(14 - Double(logSum)) * sum - 1) < 1e-5, "\(variant)")
                logs.append(logSum)
                var out = [Float](repeating: 0, count: count)
                lk_probabilities(&out, x, logSum, Int64(count))
                #expect(abs(out.reduce(0.0) { $0 + Double($1) } - 1) < 1e-5, "\(variant)")
                #expect(abs(Double(out[first]) * sum - 1) < 1e-5, "\(variant)")
            }
        }

        @Test func whatIsNoNumberIsNeverTheLargest() {
            var x = [Float](repeating: .nan, count: 40)
            withEachVariant { variant in
                #expect(lk_argmax(x, 40) == 0, "\(variant)")
                #expect(lk_log_sum_exp([], 0) == -.infinity)
                var some = x
                some[37] = -3
                #expect(lk_argmax(some, 40) == 37, "\(variant)")
                some = [Float](repeating: -.infinity, count: 40)
                #expect(lk_argmax(some, 40) == 0, "\(variant)")
                some[20] = 1
                some[39] = .nan
                var (values, indices) = ([Float](repeating: 0, count: 3), [Int32](repeating: -1, count: 3))
                #expect(lk_top_k(some, 40, 3, &values, &indices) == 3)
                #expect(values == [1, -.infinity, -.infinity] && indices == [20, 0, 1], "\(variant)")
                some[39] = -.infinity
                let logSum = lk_log_sum_exp(some, 40)
                #expect(logSum == 1, "\(variant)")
                lk_probabilities(&x, some, logSum, 40)
                #expect(x[20] == 1 && x[0] == 0 && x[39] == 0, "what is excluded has no probability at all")
                x = [Float](repeating: .nan, count: 40)
            }
        }

        @Test(arguments: [(1, 1), (10, 20), (1000, 1), (1000, 40), (50_000, 64), (300, 300)])
        func topKIsTheHeadOfASort(count: Int, k: Int) {
            var generator = Generator(UInt64(count + k))
            // Few distinct values, so that many are equal.
            let x = generator.values(count, scale: 20).map { $0.rounded() }
            let sorted = x.indices.sorted { x[$0] > x[$1] || (x[$0] == x[$1] && $0 < $1) }.prefix(k)
            withEachVariant { variant in
                var (values, indices) = ([Float](repeating: 0, count: k), [Int32](repeating: -1, count: k))
                let written = lk_top_k(x, Int64(count), Int64(k), &values, &indices)
                #expect(written == Int64(sorted.count), "\(variant)")
                #expect(Array(indices.prefix(sorted.count)) == sorted.map { Int32($0) }, "\(variant)")
                #expect(Array(values.prefix(sorted.count)) == sorted.map { x[$0] }, "\(variant)")
            }
        }
    }
}
