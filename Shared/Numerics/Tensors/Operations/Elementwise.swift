import CKernels

/// Sums, products and copies of whole tensors.
public enum Elementwise {
    /// Returns `a + b`.
    public static func add(_ a: Tensor, _ b: Tensor, pool: BufferPool) -> Tensor {
        let out = pool.tensor(a.shape)
        ul_add(out.base, a.base, b.base, Int64(a.count))
        return out
    }

    /// Adds `factor * x` to `out`.
    public static func accumulate(_ x: Tensor, factor: Float = 1, into out: Tensor) {
        ul_accumulate(out.base, x.base, factor, Int64(x.count))
    }

    /// Returns `factor * x`.
    public static func scale(_ x: Tensor, _ factor: Float, pool: BufferPool) -> Tensor {
        let out = pool.tensor(x.shape)
        ul_scale(out.base, x.base, factor, Int64(x.count), 0)
        return out
    }

    /// Writes or adds `factor * x`.
    public static func scale(_ x: Tensor, _ factor: Float, into out: Tensor, accumulate: Bool) {
        ul_scale(out.base, x.base, factor, Int64(x.count), accumulate ? 1 : 0)
    }

    /// Multiplies all values of x by a factor.
    public static func scaleInPlace(_ x: Tensor, _ factor: Float) {
        ul_scale_in_place(x.base, factor, Int64(x.count))
    }

    /// Returns the elementwise product.
    public static func multiply(_ a: Tensor, _ b: Tensor, pool: BufferPool) -> Tensor {
        let out = pool.tensor(a.shape)
        ul_multiply(out.base, a.base, b.base, Int64(a.count), 0)
        return out
    }

    /// Writes or adds the elementwise product.
    public static func multiply(_ a: Tensor, _ b: Tensor, into out: Tensor, accumulate: Bool) {
        ul_multiply(out.base, a.base, b.base, Int64(a.count), accumulate ? 1 : 0)
    }

    /// Returns `x + factor * y`; a bit-identical copy of x when the factor is 0.
    public static func gatedAdd(_ x: Tensor, _ y: Tensor, factor: Float, pool: BufferPool) -> Tensor {
        // The formula would be wrong: x + 0 * y is not x where y is infinite or x is -0.
        if factor == 0 { return x.copy(pool: pool) }
        let out = pool.tensor(x.shape)
        ul_gated_add(out.base, x.base, y.base, factor, Int64(x.count))
        return out
    }

    /// Returns x, [B * n], plus the n values of `row` for each of the B.
    public static func addRows(_ x: Tensor, _ row: Tensor, pool: BufferPool) -> Tensor {
        let out = pool.tensor(x.shape)
        ul_add_rows(out.base, x.base, row.base, Int64(x.count / max(row.count, 1)), Int64(row.count))
        return out
    }

    /// Writes or adds the sum of x, [B * n], over B.
    public static func sumRows(_ x: Tensor, into out: Tensor, accumulate: Bool) {
        ul_sum_rows(out.base, x.base, Int64(x.count / max(out.count, 1)), Int64(out.count), accumulate ? 1 : 0)
    }

    /// Returns `count` copies of x, one after another.
    public static func repeated(_ x: Tensor, count: Int, pool: BufferPool) -> Tensor {
        let out = pool.tensor([count] + x.shape)
        ul_fill_rows(out.base, x.base, Int64(count), Int64(x.count))
        return out
    }

    /// The dot product of all values.
    public static func dot(_ a: Tensor, _ b: Tensor) -> Double { ul_dot(a.base, b.base, Int64(a.count)) }

    /// Concatenates tensors with the same leading dimensions along the last dimension.
    public static func concatenate(_ xs: [Tensor], pool: BufferPool) -> Tensor {
        let width = xs.reduce(0) { $0 + $1.width }
        let out = pool.tensor(xs[0].shape.dropLast() + [width])
        var start = 0
        for x in xs {
            ul_copy_columns(
                out.base + start,
                Int64(width),
                x.base,
                Int64(x.width),
                Int64(x.rows),
                Int64(x.width),
                0
            )
            start += x.width
        }
        return out
    }

    /// Stacks tensors of the same width by rows.
    public static func stacked(_ xs: [Tensor], pool: BufferPool) -> Tensor {
        let out = pool.tensor([xs.reduce(0) { $0 + $1.rows }, xs[0].width])
        var start = 0
        for x in xs {
            (out.base + start).update(from: x.base, count: x.count)
            start += x.count
        }
        return out
    }

    /// Returns `count` rows of x from row `start` on.
    public static func rows(of x: Tensor, start: Int, count: Int, pool: BufferPool) -> Tensor {
        let out = pool.tensor([count, x.width])
        out.base.update(from: x.base + start * x.width, count: out.count)
        return out
    }

    /// Returns the columns of x that start at `start`.
    public static func columns(of x: Tensor, start: Int, count: Int, pool: BufferPool) -> Tensor {
        let out = pool.tensor(x.shape.dropLast() + [count])
        let (rows, stride) = (Int64(x.rows), Int64(x.width))
        ul_copy_columns(out.base, Int64(count), x.base + start, stride, rows, Int64(count), 0)
        return out
    }

    /// Adds x to the columns of `out` that start at `start`.
    public static func accumulateColumns(_ x: Tensor, into out: Tensor, start: Int) {
        let (rows, width) = (Int64(x.rows), Int64(x.width))
        ul_copy_columns(out.base + start, Int64(out.width), x.base, width, rows, width, 1)
    }
}
