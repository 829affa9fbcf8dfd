import CKernels

/// Rows of a table by index, alone or as means of bags.
public enum Gather {
    /// Returns row `indices[i]` of the table for each i; -1 gives zeros.
    public static func rows(of table: Tensor, _ indices: [Int32], width: Int, shape: [Int], pool: BufferPool) -> Tensor
    {
        check(indices, below: table.count / max(width, 1))
        let out = pool.tensor(shape)
        ul_gather_rows(out.base, table.base, indices, Int64(indices.count), Int64(width))
        return out
    }

    /// Adds each row of the gradient to the row of `out` it came from.
    public static func rowsBackward(_ gradient: Tensor, _ indices: [Int32], width: Int, into out: Tensor) {
        ul_scatter_add_rows(out.base, gradient.base, indices, Int64(indices.count), Int64(width))
    }

    /// Returns the mean of the rows of each bag, `indices[offsets[i] ..< offsets[i + 1]]`; zeros for an empty one.
    public static func bagMeans(of table: Tensor, indices: [Int32], offsets: [Int32], pool: BufferPool) -> Tensor {
        check(indices, below: table.shape[0])
        checkOffsets(offsets, total: indices.count)
        let out = pool.tensor([offsets.count - 1, table.width])
        ul_bag_means(out.base, table.base, indices, offsets, Int64(offsets.count - 1), Int64(table.width))
        return out
    }

    /// Adds to each member of a bag its share of the bag's gradient.
    public static func bagMeansBackward(_ gradient: Tensor, indices: [Int32], offsets: [Int32], into out: Tensor) {
        ul_bag_means_backward(
            out.base,
            gradient.base,
            indices,
            offsets,
            Int64(offsets.count - 1),
            Int64(out.width)
        )
    }

    /// Returns the mean over the first `lengths[b]` steps of x, [B, T, d]; zeros for length 0.
    public static func maskedMean(_ x: Tensor, lengths: [Int32], pool: BufferPool) -> Tensor {
        let (B, T, d) = (x.shape[0], x.shape[1], x.shape[2])
        precondition(lengths.count == B, "\(lengths.count) lengths for \(B) batch rows")
        for length in lengths { precondition(length >= 0 && length <= T, "length \(length) is not within 0...\(T)") }
        let out = pool.tensor([B, d])
        ul_masked_mean(out.base, x.base, lengths, Int64(B), Int64(T), Int64(d))
        return out
    }

    /// Writes or adds the gradient of x, zero at the steps past a length.
    public static func maskedMeanBackward(_ gradient: Tensor, lengths: [Int32], into dx: Tensor, accumulate: Bool) {
        let (B, T, d) = (Int64(dx.shape[0]), Int64(dx.shape[1]), Int64(dx.shape[2]))
        ul_masked_mean_backward(dx.base, gradient.base, lengths, B, T, d, accumulate ? 1 : 0)
    }

    /// Stops the program when an index is out of range: the kernels do not check.
    static func check(_ indices: [Int32], below count: Int) {
        let bound = Int32(clamping: count)
        var worst: Int32 = -1
        for index in indices where index >= bound || index < -1 { worst = index }
        precondition(worst >= -1 && worst < bound || worst == -1, "index \(worst) is not below \(count) (-1 is none)")
    }

    static func checkOffsets(_ offsets: [Int32], total: Int) {
        precondition(offsets.first == 0, "offsets start at 0, got \(offsets.first.map(String.init) ?? "none")")
        precondition(Int(offsets[offsets.count - 1]) == total, "offsets end at \(total), got \(offsets.suffix(1))")
        for (start, end) in zip(offsets, offsets.dropFirst()) {
            precondition(start <= end, "offsets never fall, got \(start) and then \(end)")
        }
    }
}
