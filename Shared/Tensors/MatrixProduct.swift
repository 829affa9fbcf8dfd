import COpenBLAS

/// One side of a matrix product: where it starts, how far apart its rows are, whether it is read transposed.
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

/// Products of Float32 matrices by OpenBLAS, on the calling thread.
enum MatrixProduct {
    /// Computes `c = factor * a b + (accumulate ? c : 0)` for a of m x k, b of k x n (as read) and c of m x n.
    static func multiply(
        _ a: MatrixView,
        _ b: MatrixView,
        into c: MatrixView,
        m: Int,
        n: Int,
        k: Int,
        factor: Float = 1,
        accumulate: Bool = false
    ) {
        guard m > 0, n > 0 else { return }
        guard k > 0 else {
            // A sum of nothing; not every kernel of the library writes it.
            if !accumulate { for row in 0..<m { (c.base + row * c.stride).update(repeating: 0, count: n) } }
            return
        }
        ComputeRuntime.useOneThreadPerProduct()
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
