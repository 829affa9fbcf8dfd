import CKernels

/// The number format of the operands of matrix products; sums, weights and everything else stay Float32.
public enum Precision: String, Codable, Sendable, CaseIterable {
    /// Float32, by OpenBLAS.
    case float32
    /// Operands rounded to bfloat16, products summed in Float32: about twice the speed where the processor has the
    /// instruction, correct but slow otherwise.
    case bfloat16

    /// bfloat16 where the processor multiplies it fast, else Float32.
    public static var fastest: Precision { hasFastBFloat16 ? .bfloat16 : .float32 }

    /// Whether the processor has an instruction for bfloat16 products.
    public static var hasFastBFloat16: Bool { ul_cpu_level() >= 3 }
}
