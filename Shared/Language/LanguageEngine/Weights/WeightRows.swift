import CLanguageKernels
import ModelFiles

/// A tensor as a file or a model of our own has it: rows of numbers, one after the other.
struct WeightRows {
    private enum Storage {
        case plain(WeightVector)
        case stored(StoredTensor)
    }

    /// Shape: [outputs, inputs], or [values] for a norm or a bias.
    let shape: [Int]
    private let storage: Storage

    private init(shape: [Int], storage: Storage) {
        self.shape = shape
        self.storage = storage
    }

    /// Takes a file's tensor.
    init(_ tensor: StoredTensor) { self.init(shape: tensor.shape, storage: .stored(tensor)) }

    /// Copies Float32 numbers.
    init(_ values: [Float], shape: [Int]) { self.init(shape: shape, storage: .plain(WeightVector(values))) }

    /// The same numbers in another shape of as many.
    func shaped(_ shape: [Int]) -> WeightRows { WeightRows(shape: shape, storage: storage) }

    /// The kernels' number of the stored type, which is GGUF's.
    var source: Int32 {
        guard case .stored(let tensor) = storage else { return Int32(LK_SOURCE_F32) }
        return switch tensor.type {
        case .float32: Int32(LK_SOURCE_F32)
        case .float16: Int32(LK_SOURCE_F16)
        case .bfloat16: Int32(LK_SOURCE_BF16)
        case .q8_0: Int32(LK_SOURCE_Q8_0)
        case .q4_0: Int32(LK_SOURCE_Q4_0)
        case .q4_1: Int32(LK_SOURCE_Q4_1)
        case .q5_0: Int32(LK_SOURCE_Q5_0)
        case .q5_1: Int32(LK_SOURCE_Q5_1)
        case .q4_K: Int32(LK_SOURCE_Q4_K)
        case .q5_K: Int32(LK_SOURCE_Q5_K)
        case .q6_K: Int32(LK_SOURCE_Q6_K)
        }
    }

    /// All numbers as Float32.
    func floats() -> WeightVector {
        switch storage {
        case .plain(let vector): return vector
        case .stored(let tensor):
            let result = WeightVector(count: tensor.count)
            tensor.decode(rows: 0..<tensor.rows, into: result.base)
            return result
        }
    }

    /// Packs rows of a matrix; several threads may pack rows of different groups of 16 at once.
    ///
    /// - Returns: the kernels' status.
    func pack(_ rows: Range<Int>, into matrix: WeightMatrix) -> Int32 {
        switch storage {
        case .plain(let vector):
            let width = matrix.inputs * MemoryLayout<Float>.stride
            let start = UnsafeRawPointer(vector.base) + rows.lowerBound * width
            return set(rows, of: matrix, from: start, width)
        case .stored(let tensor):
            return tensor.withBytes { bytes in
                guard let base = bytes.baseAddress else { return Int32(LK_ERROR_SHAPE) }
                let width = tensor.rowByteCount
                if tensor.rowOrder == .stored {
                    return set(rows, of: matrix, from: base + rows.lowerBound * width, width)
                }
                for row in rows {
                    let start = base + tensor.rowOrder.place(of: row) * width
                    let status = set(row..<row + 1, of: matrix, from: start, width)
                    if status != LK_OK { return status }
                }
                return Int32(LK_OK)
            }
        }
    }

    private func set(_ rows: Range<Int>, of matrix: WeightMatrix, from start: UnsafeRawPointer, _ width: Int) -> Int32 {
        lk_matrix_set_rows(matrix.handle, Int64(rows.lowerBound), Int64(rows.count), source, start, width)
    }
}
