import CLanguageKernels
import Testing

extension KernelTests {
    /// Rows of weights as files have them, and what packing keeps of them.
    @Suite struct Sources {
        /// FNV-1a of the bits of 2,048 weights that the `gguf` package (0.17, `gguf.quants.dequantize`) makes of the same
        /// bytes: SourceRows.bytes with the source's number plus one as the seed.
        static let golden: [(source: Int, hash: UInt64)] = [
            (LK_SOURCE_F16, 0xC865_1019_AF79_EC30), (LK_SOURCE_Q4_0, 0x6BB0_2D52_5313_5871),
            (LK_SOURCE_Q4_1, 0x0257_06DA_BB98_52F8), (LK_SOURCE_Q5_0, 0xB9B7_1773_97E3_AB46),
            (LK_SOURCE_Q5_1, 0xCCF4_C6C0_A908_3DD7), (LK_SOURCE_Q8_0, 0x3DB6_9076_475C_4397),
            (LK_SOURCE_Q4_K, 0x4E8A_D5A8_A44B_9B46), (LK_SOURCE_Q5_K, 0xC909_0A92_7A8C_F52E),
            (LK_SOURCE_Q6_K, 0xE01E_B868_9563_148A), (LK_SOURCE_BF16, 0x1909_718A_9E30_9DB9),
        ]

        @Test(arguments: golden.indices)
        func weightsAreThoseOfTheGGUFPackage(index: Int) {
            let (source, hash) = Self.golden[index]
            let bytes = SourceRows.bytes(source, count: 2048, seed: UInt64(source + 1))
            var weights = [Float](repeating: 0, count: 2048)
            #expect(lk_dequantize(Int32(source), bytes, 2048, &weights) == LK_OK)
            var found: UInt64 = 0xCBF2_9CE4_8422_2325
            for bits in bits(weights) {
                for shift in stride(from: UInt32(0), to: 32, by: 8) {
                    found = (found ^ UInt64(bits >> shift & 255)) &* 0x100_0000_01B3
                }
            }
            #expect(found == hash, "source \(source): \(weights.prefix(3))")
        }

        @Test(arguments: golden.indices)
        func packingInTheLosslessFormatKeepsEveryBit(index: Int) throws {
            let source = Self.golden[index].source
            let format = Int(lk_lossless_format(Int32(source)))
            let packed = try PackedWeights(format, from: source, outputs: 35, inputs: 512)
            let rows = SourceRows(source, rows: 35, inputs: 512, seed: 1)
            for row in 0..<35 { #expect(bits(packed.row(row)) == bits(rows.floats(row: row)), "row \(row)") }
        }

        @Test func rowsArePackedInAnyOrder() throws {
            let rows = SourceRows(LK_SOURCE_Q4_K, rows: 20, inputs: 256, seed: 9)
            let matrix = try #require(lk_matrix_create(Int32(LK_Q4G), 20, 256, nil))
            defer { lk_matrix_destroy(matrix) }
            for row in (0..<20).reversed() {
                let data = Array(rows.bytes[(19 - row) * rows.rowBytes..<(20 - row) * rows.rowBytes])
                #expect(lk_matrix_set_rows(matrix, Int64(row), 1, rows.source, data, rows.rowBytes) == LK_OK)
            }
            var weights = [Float](repeating: 0, count: 256)
            for row in 0..<20 {
                #expect(lk_matrix_get_row(matrix, Int64(row), &weights) == LK_OK)
                #expect(bits(weights) == bits(rows.floats(row: 19 - row)))
            }
        }

        /// Each weight is within half a step of its block of 32, whose largest weight is 127 steps.
        ///
        /// A step is rounded to half precision.
        @Test(arguments: [96, 128])
        func int8RowsAreWithinHalfAStep(inputs: Int) throws {
            let rows = SourceRows(LK_SOURCE_F32, rows: 17, inputs: inputs, seed: 4)
            let packed = try PackedWeights(LK_INT8, from: LK_SOURCE_F32, outputs: 17, inputs: inputs, seed: 4)
            for row in 0..<17 {
                let (kept, exact) = (packed.row(row), rows.floats(row: row))
                for start in stride(from: 0, to: inputs, by: 32) {
                    let step = exact[start..<start + 32].map(abs).max().map { $0 / 127 } ?? 0
                    for i in start..<start + 32 { #expect(abs(kept[i] - exact[i]) <= step * 0.501) }
                }
            }
        }

        @Test func everySourceGoesIntoFloatFormatsAndInt8() throws {
            for (source, _) in Self.golden {
                let rows = SourceRows(source, rows: 3, inputs: 256, seed: 1)
                let float = try PackedWeights(LK_F32, from: source, outputs: 3, inputs: 256)
                let short = try PackedWeights(LK_BF16, from: source, outputs: 3, inputs: 256)
                let byte = try PackedWeights(LK_INT8, from: source, outputs: 3, inputs: 256)
                for row in 0..<3 {
                    let exact = rows.floats(row: row)
                    #expect(bits(float.row(row)) == bits(exact))
                    let largest = exact.map(abs).max() ?? 0
                    #expect(zip(short.row(row), exact).allSatisfy { abs($0 - $1) <= abs($1) * 0x1p-8 })
                    #expect(zip(byte.row(row), exact).allSatisfy { abs($0 - $1) <= largest / 250 })
                }
            }
        }

        @Test func sizesThatAreNoWholeBlocksAreRefused() {
            #expect(lk_source_row_bytes(Int32(LK_SOURCE_Q4_K), 128) == 0)
            #expect(lk_source_row_bytes(Int32(LK_SOURCE_Q4_K), 512) == 288)
            #expect(lk_source_row_bytes(Int32(LK_SOURCE_Q8_0), -32) == 0)
            #expect(lk_source_row_bytes(Int32(LK_SOURCE_F32), .max) == 0)
            #expect(lk_source_row_bytes(5, 32) == 0)
            #expect(lk_lossless_format(5) == -1)
            var out: Float = 0
            #expect(lk_dequantize(Int32(LK_SOURCE_Q6_K), [0], 255, &out) == LK_ERROR_SHAPE)
            #expect(lk_dequantize(11, [0], 256, &out) == LK_ERROR_UNSUPPORTED)
        }

        @Test func weightsThatAreNotFiniteStayInTheirBlock() throws {
            var values = [Float](repeating: 1, count: 64)
            values[40] = .nan
            let matrix = try #require(lk_matrix_create(Int32(LK_F32), 1, 64, nil))
            let byte = try #require(lk_matrix_create(Int32(LK_INT8), 1, 64, nil))
            defer {
                lk_matrix_destroy(matrix)
                lk_matrix_destroy(byte)
            }
            for packed in [matrix, byte] {
                #expect(lk_matrix_set_rows(packed, 0, 1, Int32(LK_SOURCE_F32), values, 256) == LK_OK)
                var out = [Float](repeating: 0, count: 64)
                #expect(lk_matrix_get_row(packed, 0, &out) == LK_OK)
                #expect(out[40].isNaN)
            }
        }
    }
}
