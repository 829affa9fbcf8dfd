import CLanguageKernels
import Testing

extension KernelTests {
    /// Products of every format and variant.
    @Suite struct Products {
        /// A format, a source that fills it, and how far a product may be from the exact one.
        ///
        /// The distance is in units of the root of the sum of squares of the product's terms. Float32: a run of 64 terms
        /// has 64 roundings, of 6e-8 of a sum that is mostly smaller than the result; up to 24 runs are added. int8:
        /// activations are rounded to 1 / 127 of their block's largest, at most 3 here, so to within 0.012, evenly spread:
        /// about 0.007 of a term's size, and five times that is never seen in a few thousand products.
        static let cases: [(format: Int, source: Int, tolerance: Double)] = [
            (LK_F32, LK_SOURCE_F32, 2e-6), (LK_F32, LK_SOURCE_F16, 2e-6), (LK_BF16, LK_SOURCE_BF16, 2e-6),
            (LK_INT8, LK_SOURCE_F32, 0.035), (LK_Q8_0, LK_SOURCE_Q8_0, 0.035), (LK_Q8_0, LK_SOURCE_Q5_0, 0.035),
            (LK_Q4_0, LK_SOURCE_Q4_0, 0.035), (LK_Q4_1, LK_SOURCE_Q4_1, 0.035), (LK_Q4G, LK_SOURCE_Q4_K, 0.035),
            (LK_Q8G, LK_SOURCE_Q5_1, 0.035), (LK_Q8G, LK_SOURCE_Q5_K, 0.035), (LK_Q8S16, LK_SOURCE_Q6_K, 0.035),
        ]

        /// Whether the variant computes this format as the plain loops do, bit for bit.
        static func isExact(_ format: Int, _ variant: String) -> Bool {
            variant != "avx512bf16" || format != LK_BF16
        }

        static func width(_ inputs: Int, _ source: Int) -> Int {
            let isWide = [LK_SOURCE_Q4_K, LK_SOURCE_Q5_K, LK_SOURCE_Q6_K].contains(source)
            return isWide ? (inputs + 255) / 256 * 256 : inputs
        }

        @Test(arguments: cases.indices)
        func theReferenceIsNearTheExactProduct(index: Int) throws {
            let (format, source, tolerance) = Self.cases[index]
            var generator = Generator(7)
            defer { lk_select_variant(nil) }
            lk_select_variant("reference")
            var worst = 0.0
            for inputs in [32, 64, 576, 1536].map({ Self.width($0, source) }) {
                let weights = try PackedWeights(format, from: source, outputs: 33, inputs: inputs)
                let (x, bias) = (generator.values(3 * inputs), generator.values(33))
                let y = try weights.multiply(x, bias: bias)
                for n in 0..<33 {
                    let w = weights.row(n)
                    for m in 0..<3 {
                        let terms = (0..<inputs).map { Double(x[m * inputs + $0]) * Double(w[$0]) }
                        let size = terms.reduce(Double(bias[n] * bias[n])) { $0 + $1 * $1 }.squareRoot()
                        let exact = terms.reduce(Double(bias[n]), +)
                        worst = max(worst, abs(Double(y[m * 33 + n]) - exact) / size)
                    }
                }
            }
            #expect(worst < tolerance, "format \(format) from \(source): \(worst)")
        }

        /// Sums have one order, so a variant either has the reference's bits or is wrong.
        ///
        /// Only bfloat16 activations
        /// round otherwise: to 8 bits, so that a product is within 2^-8 of its term's size, with both roundings' spread.
        @Test(arguments: cases.indices)
        func variantsEqualTheReference(index: Int) throws {
            let (format, source, _) = Self.cases[index]
            var generator = Generator(UInt64(index))
            for outputs in [1, 16, 33, 100, 200] {
                for inputs in [32, 64, 576, 1536].map({ Self.width($0, source) }) {
                    let weights = try PackedWeights(format, from: source, outputs: outputs, inputs: inputs)
                    let rows = 130
                    let x = generator.values(rows * inputs)
                    var expected: [Float] = []
                    try withEachVariant { variant in
                        guard variant != "reference" else {
                            expected = try weights.multiply(x)
                            return
                        }
                        let y = try weights.multiply(x)
                        if Self.isExact(format, variant) {
                            #expect(bits(y) == bits(expected), "\(variant), \(format), \(outputs) x \(inputs)")
                        } else {
                            let squares = zip(y, expected).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
                            let root = (squares / expected.reduce(1e-30) { $0 + Double($1 * $1) }).squareRoot()
                            #expect(root < 0x1p-8, "\(variant), \(format), \(outputs) x \(inputs): \(root)")
                        }
                    }
                }
            }
        }

        @Test(arguments: cases.indices)
        func aRowsResultDoesNotDependOnOtherRowsOrOnThreads(index: Int) throws {
            let (format, source, _) = Self.cases[index]
            var generator = Generator(UInt64(100 + index))
            let (outputs, inputs, rows) = (212, Self.width(576, source), 130)
            let weights = try PackedWeights(format, from: source, outputs: outputs, inputs: inputs)
            let x = generator.values(rows * inputs)
            try withEachVariant { variant in
                let all = try weights.multiply(x)
                for count in [1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 31, 64, 97, 129] {
                    // Rows `first ..< first + count` alone, in another place of another batch.
                    let first = Int.random(in: 0...rows - count, using: &generator)
                    let part = Array(x[first * inputs..<(first + count) * inputs])
                    let expected = bits(all[first * outputs..<(first + count) * outputs])
                    let parts = 1 + count % 4
                    let alone = try weights.multiply(part, parts: parts)
                    #expect(bits(alone) == expected, "\(variant), \(count) rows")
                    let within = try weights.multiply(x, rows: first..<first + count)
                    #expect(bits(within[first * outputs..<(first + count) * outputs]) == expected)
                    #expect(within[..<(first * outputs)].allSatisfy { $0 == 0 }, "rows before stay as they are")
                    #expect(within[((first + count) * outputs)...].allSatisfy { $0 == 0 }, "rows after too")
                }
            }
        }

        @Test func biasAndAccumulationAreAddedOnce() throws {
            var generator = Generator(3)
            for (format, source) in [(LK_F32, LK_SOURCE_F32), (LK_Q4_0, LK_SOURCE_Q4_0)] {
                let weights = try PackedWeights(format, from: source, outputs: 37, inputs: 64)
                let (x, bias, before) = (generator.values(9 * 64), generator.values(37), generator.values(9 * 37))
                try withEachVariant { variant in
                    let plain = try weights.multiply(x)
                    let y = try weights.multiply(x, bias: bias, onto: before)
                    let expected = plain.indices.map { before[$0] + (plain[$0] + bias[$0 % 37]) }
                    #expect(bits(y) == bits(expected), "\(variant)")
                }
            }
        }

        @Test func oddWidthsOfFloatFormats() throws {
            var generator = Generator(5)
            for (format, source) in [(LK_F32, LK_SOURCE_F32), (LK_BF16, LK_SOURCE_BF16)] {
                for inputs in [1, 2, 7, 63, 65, 129] {
                    let weights = try PackedWeights(format, from: source, outputs: 20, inputs: inputs)
                    let x = generator.values(13 * inputs)
                    var expected: [Float] = []
                    try withEachVariant { variant in
                        let y = try weights.multiply(x)
                        if variant == "reference" { expected = y }
                        let isNear = zip(y, expected).allSatisfy { abs($0 - $1) <= 0.05 * Float(inputs).squareRoot() }
                        #expect(isNear, "\(variant), \(inputs) inputs")
                        guard Self.isExact(format, variant) else { return }
                        #expect(bits(y) == bits(expected), "\(variant), \(inputs) inputs")
                    }
                }
            }
        }

        @Test(arguments: cases.indices)
        func zeroAndNotFiniteRowsHarmNoOtherRow(index: Int) throws {
            let (format, source, _) = Self.cases[index]
            var generator = Generator(11)
            let inputs = Self.width(64, source)
            let weights = try PackedWeights(format, from: source, outputs: 40, inputs: inputs)
            let good = generator.values(inputs)
            let bad: [Float] = [
                .nan, .infinity, -.infinity, .greatestFiniteMagnitude, 1e-38, 0, -0.0, .leastNonzeroMagnitude,
            ]
            try withEachVariant { variant in
                let alone = try weights.multiply(good)
                for value in bad {
                    let filled = [Float](repeating: value, count: inputs)
                    var spoiled = good
                    spoiled[17] = value
                    let y = try weights.multiply(filled + good + spoiled)
                    #expect(bits(y[40..<80]) == bits(alone), "\(variant), \(value)")
                    if value == 0 { #expect(y[..<40].allSatisfy { $0 == 0 }, "\(variant)") }
                    if value.isNaN { #expect(y[80...].allSatisfy { $0.isNaN }, "\(variant)") }
                    if value.isInfinite { #expect(y[80...].allSatisfy { !$0.isFinite }, "\(variant)") }
                }
            }
        }

        @Test func theGatedProductIsItsParts() throws {
            var generator = Generator(13)
            for (format, source) in [(LK_INT8, LK_SOURCE_F32), (LK_Q4_1, LK_SOURCE_Q4_1), (LK_F32, LK_SOURCE_F32)] {
                let gate = try PackedWeights(format, from: source, outputs: 150, inputs: 64, seed: 1)
                let up = try PackedWeights(format, from: source, outputs: 150, inputs: 64, seed: 2)
                let x = generator.values(101 * 64, scale: 0.3)
                try withEachVariant { variant in
                    let (g, u) = (try gate.multiply(x), try up.multiply(x))
                    var expected = [Float](repeating: 0, count: g.count)
                    lk_silu_multiply(&expected, g, u, Int64(g.count))
                    let input = try #require(lk_input_create())
                    defer { lk_input_destroy(input) }
                    var y = [Float](repeating: -1, count: g.count)
                    try x.withUnsafeBufferPointer { values in
                        try #require(lk_prepare_input(input, gate.matrix, values.baseAddress, 64, 101) == LK_OK)
                        for (first, last) in [(Int64(0), Int64(80)), (80, 150)] {
                            let status = lk_multiply_gated(
                                gate.matrix,
                                up.matrix,
                                input,
                                0,
                                101,
                                first,
                                last,
                                &y,
                                150
                            )
                            #expect(status == LK_OK)
                        }
                    }
                    #expect(bits(y) == bits(expected), "\(variant), \(format)")
                }
            }
        }

        @Test func whatDoesNotFitIsRefused() throws {
            var status: Int32 = 0
            #expect(lk_matrix_create(99, 16, 32, &status) == nil && status == LK_ERROR_UNSUPPORTED)
            #expect(lk_matrix_create(Int32(LK_F32), 0, 32, &status) == nil && status == LK_ERROR_SHAPE)
            #expect(lk_matrix_create(Int32(LK_F32), 16, 1 << 20 + 1, &status) == nil && status == LK_ERROR_SHAPE)
            #expect(lk_matrix_create(Int32(LK_INT8), 16, 48, &status) == nil && status == LK_ERROR_SHAPE)
            #expect(lk_matrix_create(Int32(LK_F32), .max, .max, nil) == nil)
            let weights = try PackedWeights(LK_INT8, from: LK_SOURCE_F32, outputs: 40, inputs: 64)
            let other = try PackedWeights(LK_F32, from: LK_SOURCE_F32, outputs: 40, inputs: 64)
            let rows = [UInt8](repeating: 0, count: 64 * 4)
            #expect(lk_matrix_set_rows(weights.matrix, 0, 1, 77, rows, 256) == LK_ERROR_UNSUPPORTED)
            #expect(lk_matrix_set_rows(weights.matrix, 40, 1, Int32(LK_SOURCE_F32), rows, 256) == LK_ERROR_SHAPE)
            #expect(lk_matrix_set_rows(weights.matrix, -1, 1, Int32(LK_SOURCE_F32), rows, 256) == LK_ERROR_SHAPE)
            #expect(lk_matrix_set_rows(weights.matrix, 0, .max, Int32(LK_SOURCE_F32), rows, 256) == LK_ERROR_SHAPE)
            let blocks = try PackedWeights(LK_Q4_0, from: LK_SOURCE_Q4_0, outputs: 16, inputs: 64)
            let refused = lk_matrix_set_rows(blocks.matrix, 0, 1, Int32(LK_SOURCE_F32), rows, 256)
            #expect(refused == LK_ERROR_UNSUPPORTED)
            #expect(lk_matrix_get_row(weights.matrix, 40, nil) == LK_ERROR_SHAPE)
            let input = try #require(lk_input_create())
            defer { lk_input_destroy(input) }
            let x = [Float](repeating: 0, count: 128)
            x.withUnsafeBufferPointer { x in
                let at = x.baseAddress
                #expect(lk_input_begin(input, 9, at, 64, 2, 64) == LK_ERROR_UNSUPPORTED)
                #expect(lk_input_begin(input, lk_input_kind(weights.matrix), at, 64, 2, 40) == LK_ERROR_SHAPE)
                #expect(lk_prepare_input(input, weights.matrix, at, 64, 2) == LK_OK)
                var y = [Float](repeating: 0, count: 80)
                #expect(lk_multiply(other.matrix, input, 0, 2, 0, 40, &y, 40, nil, 0) == LK_ERROR_INPUT)
                #expect(lk_multiply(weights.matrix, input, 0, 3, 0, 40, &y, 40, nil, 0) == LK_ERROR_SHAPE)
                #expect(lk_multiply(weights.matrix, input, 0, 2, 8, 40, &y, 40, nil, 0) == LK_ERROR_SHAPE)
                #expect(lk_multiply(weights.matrix, input, 0, 2, 0, 41, &y, 40, nil, 0) == LK_ERROR_SHAPE)
                #expect(lk_multiply(weights.matrix, input, 0, 2, 0, 17, &y, 40, nil, 0) == LK_ERROR_SHAPE)
            }
        }
    }
}
