import CLanguageKernels

/// A packed matrix with what its products need.
///
/// Plain pointers, so that the members of a team read it without counting references; `ModelRunner` keeps what they
/// point to alive.
struct ProductPlan {
    let matrix: OpaquePointer
    let input: OpaquePointer
    let bias: UnsafePointer<Float>?
    let outputs: Int64
    private let depth: Int

    init(_ matrix: WeightMatrix, _ inputs: ProductInputs, bias: WeightVector? = nil) throws(EngineError) {
        self.matrix = matrix.handle
        input = try inputs.input(for: matrix)
        self.bias = bias.map { UnsafePointer($0.base) }
        outputs = Int64(matrix.outputs)
        depth = matrix.inputs
    }

    /// Multiplies rows by a member's share of the outputs.
    ///
    /// - Parameters:
    ///   - rows: the rows.
    ///   - out: shape [all rows, outputs].
    ///   - adds: whether the product is added to what is there.
    ///   - member: whose share.
    func multiply(
        _ rows: Range<Int>,
        into out: UnsafeMutablePointer<Float>,
        adds: Bool = false,
        _ member: ThreadTeam.Member
    ) {
        let share = share(of: member)
        guard !share.isEmpty else { return }
        let (start, end) = (Int64(rows.lowerBound), Int64(rows.upperBound))
        let (first, last) = (share.lowerBound, share.upperBound)
        let status = lk_multiply(matrix, input, start, end, first, last, out, outputs, bias, adds ? 1 : 0)
        member.count(multiplyAdds: rows.count * share.count * depth)
        precondition(status == LK_OK, "a product of \(rows.count) rows and \(outputs) outputs: status \(status)")
    }

    /// The same for `silu(self product) * (other product)`.
    func multiplyGated(
        with other: ProductPlan,
        _ rows: Range<Int>,
        into out: UnsafeMutablePointer<Float>,
        _ member: ThreadTeam.Member
    ) {
        let share = share(of: member)
        guard !share.isEmpty else { return }
        let (start, end) = (Int64(rows.lowerBound), Int64(rows.upperBound))
        let (first, last) = (share.lowerBound, share.upperBound)
        let status = lk_multiply_gated(matrix, other.matrix, input, start, end, first, last, out, outputs)
        member.count(multiplyAdds: 2 * rows.count * share.count * depth)
        precondition(status == LK_OK, "a product of \(rows.count) rows and \(outputs) outputs: status \(status)")
    }

    private func share(of member: ThreadTeam.Member) -> Range<Int64> {
        var (first, last) = (Int64(0), Int64(0))
        lk_split(outputs, Int32(member.count), Int32(member.index), &first, &last)
        return first..<last
    }
}

/// One block of the language model, with the cross-attention before it.
struct BlockPlan {
    /// An open layer of cross-attention.
    struct Cross {
        /// Its number among the open layers.
        let index: Int
        let norm: UnsafePointer<Float>
        let query: ProductPlan
        let output: ProductPlan
    }

    let cross: Cross?
    let attentionNorm: UnsafePointer<Float>
    let query: ProductPlan, key: ProductPlan, value: ProductPlan
    let queryNorm: UnsafePointer<Float>?, keyNorm: UnsafePointer<Float>?
    let output: ProductPlan
    let feedForwardNorm: UnsafePointer<Float>
    let gate: ProductPlan, up: ProductPlan, down: ProductPlan
}
