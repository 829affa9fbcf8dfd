import CLanguageKernels

/// How weights are kept for computing.
public enum WeightFormat: String, Sendable, CaseIterable {
    /// As the file has them, without loss: a 4-bit file computes with 4-bit weights. F16 becomes Float32.
    case stored
    /// Float32.
    case float32
    /// bfloat16, with sums in Float32.
    case bfloat16
    /// int8 with a scale for each block of a row; a matrix whose rows no block divides becomes bfloat16.
    case int8

    /// The kernels' format for a matrix with rows of `inputs` that come from this source.
    func packed(from source: Int32, inputs: Int) -> Int32 {
        switch self {
        case .stored: lk_lossless_format(source)
        case .float32: Int32(LK_F32)
        case .bfloat16: Int32(LK_BF16)
        case .int8: Int32(inputs % 32 == 0 ? LK_INT8 : LK_BF16)
        }
    }
}

/// One matrix of weights, [outputs, inputs], packed for products.
///
/// Written while it is loaded, read only from then on.
final class WeightMatrix {
    let handle: OpaquePointer
    let outputs: Int
    let inputs: Int

    /// Makes a matrix of zeros.
    ///
    /// - Throws: `LanguageModelWeightsError` naming the tensor.
    init(_ name: String, format: Int32, outputs: Int, inputs: Int) throws(LanguageModelWeightsError) {
        var status: Int32 = 0
        guard let handle = lk_matrix_create(format, Int64(outputs), Int64(inputs), &status) else {
            throw LanguageModelWeightsError(tensor: name, problem: Self.problem(status, [outputs, inputs]))
        }
        self.handle = handle
        self.outputs = outputs
        self.inputs = inputs
    }

    deinit { lk_matrix_destroy(handle) }

    /// The kind of input that this matrix is multiplied with.
    var inputKind: Int32 { lk_input_kind(handle) }

    /// Number of bytes that a product reads.
    var byteCount: Int { Int(lk_matrix_bytes(handle)) }

    /// What a status of the kernels means for a matrix of this shape.
    static func problem(_ status: Int32, _ shape: [Int]) -> String {
        switch Int(status) {
        case LK_ERROR_SHAPE: "has shape \(shape), expected 1 to 1048576 each, and whole blocks in a row"
        case LK_ERROR_MEMORY: "has shape \(shape), for which there is no memory"
        default: "is stored in a type that cannot be computed with"
        }
    }
}

/// A tensor that a model cannot be made from.
public struct LanguageModelWeightsError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The tensor's name.
    public let tensor: String
    /// What is wrong with it, and what is expected.
    public let problem: String

    /// Tensor and problem, in one line.
    public var description: String { "\(tensor) \(problem)" }
}
