import CLanguageKernels
import Testing

/// Rows of weights as a file has them.
struct SourceRows {
    let source: Int32
    let inputs: Int
    let rowBytes: Int
    var bytes: [UInt8]

    /// A source in blocks: bytes of a block, weights of it, and where its half-precision numbers stand.
    private static func shape(_ source: Int) -> (bytes: Int, weights: Int, halves: [Int]) {
        switch source {
        case LK_SOURCE_F32: (4, 1, [])
        case LK_SOURCE_F16, LK_SOURCE_BF16: (2, 1, [0])
        case LK_SOURCE_Q4_0: (18, 32, [0])
        case LK_SOURCE_Q4_1: (20, 32, [0, 2])
        case LK_SOURCE_Q5_0: (22, 32, [0])
        case LK_SOURCE_Q5_1: (24, 32, [0, 2])
        case LK_SOURCE_Q8_0: (34, 32, [0])
        case LK_SOURCE_Q4_K: (144, 256, [0, 2])
        case LK_SOURCE_Q5_K: (176, 256, [0, 2])
        default: (210, 256, [208])
        }
    }

    /// Random bytes, in which half-precision numbers are kept finite: their highest exponent bit is cleared.
    static func bytes(_ source: Int, count: Int, seed: UInt64) -> [UInt8] {
        var generator = Generator(seed)
        let shape = shape(source)
        var bytes = (0..<count / shape.weights * shape.bytes).map { _ in UInt8(generator.next() >> 56) }
        for block in 0..<count / shape.weights {
            for half in shape.halves { bytes[block * shape.bytes + half + 1] &= 0xBF }
        }
        return bytes
    }

    /// Random rows: Float32 ones of unit variance, others of random bytes.
    init(_ source: Int, rows: Int, inputs: Int, seed: UInt64) {
        self.source = Int32(source)
        self.inputs = inputs
        rowBytes = lk_source_row_bytes(Int32(source), Int64(inputs))
        if source == LK_SOURCE_F32 {
            var generator = Generator(seed)
            bytes = generator.values(rows * inputs).withUnsafeBytes { Array($0) }
        } else {
            bytes = Self.bytes(source, count: rows * inputs, seed: seed)
            // Halves of moderate size, so that sums of all weights have one scale.
            let shape = Self.shape(source)
            for block in 0..<rows * inputs / shape.weights {
                for half in shape.halves {
                    let at = block * shape.bytes + half + 1
                    bytes[at] = bytes[at] & 0x83 | (source == LK_SOURCE_BF16 ? 0x3C : 0x28)
                }
            }
        }
        #expect(bytes.count == rows * rowBytes)
    }

    /// The weights as Float32.
    func floats(row: Int) -> [Float] {
        var out = [Float](repeating: 0, count: inputs)
        bytes.withUnsafeBytes { data in
            let status = lk_dequantize(source, data.baseAddress.map { $0 + row * rowBytes }, Int64(inputs), &out)
            #expect(status == LK_OK)
        }
        return out
    }
}

/// A packed matrix and what was packed.
final class PackedWeights {
    let matrix: OpaquePointer
    let outputs: Int
    let inputs: Int

    /// Packs random rows of the source in the format.
    init(_ format: Int, from source: Int, outputs: Int, inputs: Int, seed: UInt64 = 1) throws {
        self.outputs = outputs
        self.inputs = inputs
        var status: Int32 = -1
        matrix = try #require(lk_matrix_create(Int32(format), Int64(outputs), Int64(inputs), &status))
        let rows = SourceRows(source, rows: outputs, inputs: inputs, seed: seed)
        status = lk_matrix_set_rows(matrix, 0, Int64(outputs), rows.source, rows.bytes, rows.rowBytes)
        try #require(status == LK_OK)
    }

    deinit { lk_matrix_destroy(matrix) }

    /// Weights as a product multiplies them.
    func row(_ row: Int) -> [Float] {
        var out = [Float](repeating: 0, count: inputs)
        #expect(lk_matrix_get_row(matrix, Int64(row), &out) == LK_OK)
        return out
    }

    /// The product with rows `rows` of x, [count, inputs], all of which are prepared; other rows come back as 0.
    func multiply(
        _ x: [Float],
        rows: Range<Int>? = nil,
        bias: [Float]? = nil,
        onto y: [Float]? = nil,
        parts: Int = 1
    ) throws -> [Float] {
        let count = x.count / inputs
        let rows = rows ?? 0..<count
        var y = y ?? [Float](repeating: 0, count: count * outputs)
        let accumulate: Int32 = y.contains { $0 != 0 } ? 1 : 0
        let input = try #require(lk_input_create())
        defer { lk_input_destroy(input) }
        try x.withUnsafeBufferPointer { values in
            try #require(
                lk_prepare_input(input, matrix, values.baseAddress, Int64(inputs), Int64(count)) == LK_OK
            )
            for part in 0..<parts {
                var (first, last) = (Int64(0), Int64(0))
                lk_split(Int64(outputs), Int32(parts), Int32(part), &first, &last)
                let status = lk_multiply(
                    matrix,
                    input,
                    Int64(rows.lowerBound),
                    Int64(rows.upperBound),
                    first,
                    last,
                    &y,
                    Int64(outputs),
                    bias,
                    accumulate
                )
                #expect(status == LK_OK)
            }
        }
        return y
    }
}
