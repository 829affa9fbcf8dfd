import CModelFiles

/// How a model file stores the values of a tensor.
///
/// Quantised types have blocks of values in a row, each with a scale of its own; `Q4_K` and its like are ggml's
/// "K-quants", which have scales within scales.
///
/// - Source: ggml-org/ggml, `src/ggml-common.h`; huggingface/safetensors, README, "Format".
public enum StoredType: String, Sendable, CaseIterable {
    /// IEEE single precision.
    case float32 = "F32"
    /// IEEE half precision.
    case float16 = "F16"
    /// The upper half of a single.
    case bfloat16 = "BF16"
    /// Signed bytes times a scale.
    case q8_0 = "Q8_0"
    /// Four bits around 0 times a scale.
    case q4_0 = "Q4_0"
    /// Four bits times a scale, and a minimum.
    case q4_1 = "Q4_1"
    /// Five bits around 0 times a scale.
    case q5_0 = "Q5_0"
    /// Five bits times a scale, and a minimum.
    case q5_1 = "Q5_1"
    /// Four bits; 8 scales and minima of 6 bits in 256 values.
    case q4_K = "Q4_K"
    /// Five bits; 8 scales and minima of 6 bits in 256 values.
    case q5_K = "Q5_K"
    /// Six bits; 16 scales of 8 bits in 256 values.
    case q6_K = "Q6_K"

    /// The types whose values stand by themselves: all that a safetensors file has.
    static let plain = allCases.filter(\.isPlain)

    /// Values in a block; a row has whole blocks.
    public var blockCount: Int {
        switch self {
        case .float32, .float16, .bfloat16: 1
        case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1: 32
        case .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// Bytes of a block.
    public var blockByteCount: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        case .q8_0: 34
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q4_K: 144
        case .q5_K: 176
        case .q6_K: 210
        }
    }

    /// Whether each value stands by itself.
    public var isPlain: Bool { blockCount == 1 }

    /// The type's number in GGUF files.
    var number: UInt32 {
        switch self {
        case .float32: UL_F32.rawValue
        case .float16: UL_F16.rawValue
        case .q4_0: UL_Q4_0.rawValue
        case .q4_1: UL_Q4_1.rawValue
        case .q5_0: UL_Q5_0.rawValue
        case .q5_1: UL_Q5_1.rawValue
        case .q8_0: UL_Q8_0.rawValue
        case .q4_K: UL_Q4_K.rawValue
        case .q5_K: UL_Q5_K.rawValue
        case .q6_K: UL_Q6_K.rawValue
        case .bfloat16: UL_BF16.rawValue
        }
    }

    /// The type of a number in GGUF files; nil for a type that is not read here.
    init?(number: UInt32) {
        guard let type = Self.allCases.first(where: { $0.number == number }) else { return nil }
        self = type
    }

    /// A number in GGUF files with its name where ggml has one, as an error shows it.
    static func shown(number: UInt32) -> String {
        otherNames[number].map { "\($0) (\(number))" } ?? "\(number)"
    }

    /// ggml's names of types that are not read here.
    private static let otherNames: [UInt32: String] = [
        9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
        20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
        29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
    ]
}
