import CKernels

/// The affine map of rows: `y = x W^T + b`, with x of [N, in], W of [out, in] and b of [out].
public enum Linear {
    /// Gives y, [N, out].
    public static func forward(_ x: Tensor, weight: Tensor, bias: Tensor?, shape: [Int], pool: BufferPool) -> Tensor {
        let (out, width) = (weight.shape[0], weight.shape[1])
        let n = x.count / max(width, 1)
        let y = pool.tensor(shape)
        if let bias {
            // The product adds to the bias: its own first pass would have been to write zeros here.
            ul_fill_rows(y.base, bias.base, Int64(n), Int64(out))
        }
        MatrixProduct.multiply(
            MatrixView(x.base, stride: width),
            MatrixView(weight.base, stride: width, transposed: true),
            into: MatrixView(y.base, stride: out),
            m: n,
            n: out,
            k: width,
            accumulate: bias != nil
        )
        return y
    }

    /// Writes or adds the gradient of x: `dy W`.
    public static func inputGradient(of gradient: Tensor, weight: Tensor, into dx: Tensor, accumulate: Bool) {
        let (out, width) = (weight.shape[0], weight.shape[1])
        MatrixProduct.multiply(
            MatrixView(gradient.base, stride: out),
            MatrixView(weight.base, stride: width),
            into: MatrixView(dx.base, stride: width),
            m: gradient.count / max(out, 1),
            n: width,
            k: out,
            accumulate: accumulate
        )
    }

    /// Writes or adds the gradient of W: `dy^T x`.
    public static func weightGradient(of gradient: Tensor, input x: Tensor, into dw: Tensor, accumulate: Bool) {
        let (out, width) = (dw.shape[0], dw.shape[1])
        MatrixProduct.multiply(
            MatrixView(gradient.base, stride: out, transposed: true),
            MatrixView(x.base, stride: width),
            into: MatrixView(dw.base, stride: width),
            m: out,
            n: width,
            k: gradient.count / max(out, 1),
            accumulate: accumulate
        )
    }
}
