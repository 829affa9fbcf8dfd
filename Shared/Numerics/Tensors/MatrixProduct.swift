import CKernels
import COpenBLAS

/// One operand of a matrix product: its start, its row stride, and whether it is read transposed.
struct MatrixView {
    let base: UnsafeMutablePointer<Float>
    let stride: Int
    var transposed = false

    init(_ base: UnsafeMutablePointer<Float>, stride: Int, transposed: Bool = false) {
        self.base = base
        self.stride = stride
        self.transposed = transposed
    }
}

/// The right operand of products, k x n as read, packed once for several of them.
///
/// In Float32 this is the view itself: OpenBLAS packs its own operands.
struct PackedMatrix {
    /// Columns that are packed together.
    static let panelColumns = 64

    fileprivate let view: MatrixView
    fileprivate let depth: Int
    fileprivate let packed: PackedBuffer?

    init(_ view: MatrixView, n: Int, k: Int, precision: Precision, pool: BufferPool) {
        self.view = view
        depth = k
        guard precision == .bfloat16, n > 0, k > 0 else {
            packed = nil
            return
        }
        let buffer = PackedBuffer(count: Int(ul_bfloat16_packed_count(Int64(n), Int64(k))), pool: pool)
        ul_bfloat16_pack(buffer.base, view.base, Int64(view.stride), view.transposed ? 1 : 0, Int64(n), Int64(k))
        packed = buffer
    }
}

/// Pool memory for two-byte numbers.
private struct PackedBuffer {
    private let memory: Tensor
    let base: UnsafeMutablePointer<UInt16>

    init(count: Int, pool: BufferPool) {
        memory = pool.tensor([(count + 1) / 2])
        base = UnsafeMutableRawPointer(memory.base).assumingMemoryBound(to: UInt16.self)
    }
}

/// Matrix products on the calling thread.
enum MatrixProduct {
    /// Computes `c = factor * a b + (accumulate ? c : 0) + bias` for a of m x k, b of k x n (as read) and c of m x n.
    static func multiply(
        _ a: MatrixView,
        _ b: MatrixView,
        into c: MatrixView,
        m: Int,
        n: Int,
        k: Int,
        factor: Float = 1,
        accumulate: Bool = false,
        bias: Tensor? = nil,
        precision: Precision,
        pool: BufferPool
    ) {
        let packed = PackedMatrix(b, n: n, k: k, precision: precision, pool: pool)
        multiply(
            a,
            packed,
            into: c,
            m: m,
            n: n,
            k: k,
            factor: factor,
            accumulate: accumulate,
            bias: bias,
            pool: pool
        )
    }

    /// The same with a right operand that was packed before.
    ///
    /// n and k may be smaller than what was packed; a smaller n is then a multiple of `PackedMatrix.panelColumns`.
    static func multiply(
        _ a: MatrixView,
        _ b: PackedMatrix,
        into c: MatrixView,
        m: Int,
        n: Int,
        k: Int,
        factor: Float = 1,
        accumulate: Bool = false,
        bias: Tensor? = nil,
        pool: BufferPool
    ) {
        guard m > 0, n > 0 else { return }
        pool.count(multiplyAdds: m * n * k)
        guard let packed = b.packed, k > 0 else {
            // The product accumulates onto the bias; otherwise its first pass would write zeros there.
            if let bias { for row in 0..<m { fill(c.base + row * c.stride, bias, n, accumulate) } }
            return multiplyByOpenBLAS(
                a,
                b.view,
                into: c,
                (m, n, k),
                factor: factor,
                accumulate: accumulate || bias != nil
            )
        }
        let scratch = PackedBuffer(count: Int(ul_bfloat16_scratch_count()), pool: pool)
        ul_bfloat16_product(
            c.base,
            Int64(c.stride),
            a.base,
            Int64(a.stride),
            a.transposed ? 1 : 0,
            packed.base,
            Int64(b.depth),
            scratch.base,
            Int64(m),
            Int64(n),
            Int64(k),
            factor,
            accumulate ? 1 : 0,
            bias?.base
        )
    }

    private static func fill(_ row: UnsafeMutablePointer<Float>, _ bias: Tensor, _ n: Int, _ accumulate: Bool) {
        if accumulate {
            ul_accumulate(row, bias.base, 1, Int64(n))
        } else {
            row.update(from: bias.base, count: n)
        }
    }

    /// Computes `c = factor * a b + (accumulate ? c : 0)` in Float32 by OpenBLAS, for m and n that are not 0.
    private static func multiplyByOpenBLAS(
        _ a: MatrixView,
        _ b: MatrixView,
        into c: MatrixView,
        _ size: (m: Int, n: Int, k: Int),
        factor: Float,
        accumulate: Bool
    ) {
        let (m, n, k) = size
        guard k > 0 else {
            // An empty sum; not every kernel of the library writes it.
            if !accumulate { for row in 0..<m { (c.base + row * c.stride).update(repeating: 0, count: n) } }
            return
        }
        ComputeRuntime.useOneThreadPerProduct()
        // A softmax that has become sure of something leaves probabilities and gradients this small, a whole matrix of them.
        let control = ul_flush_subnormals()
        defer { ul_restore_subnormals(control) }
        cblas_sgemm(
            CblasRowMajor,
            a.transposed ? CblasTrans : CblasNoTrans,
            b.transposed ? CblasTrans : CblasNoTrans,
            Int32(m),
            Int32(n),
            Int32(k),
            factor,
            a.base,
            Int32(a.stride),
            b.base,
            Int32(b.stride),
            accumulate ? 1 : 0,
            c.base,
            Int32(c.stride)
        )
    }
}
