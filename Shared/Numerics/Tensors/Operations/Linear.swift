/// The affine map of rows: `y = x W^T + b`, with x of [N, in], W of [out, in] and b of [out].
public enum Linear {
    /// Returns y, [N, out].
    public static func forward(
        _ x: Tensor,
        weight: Tensor,
        bias: Tensor?,
        shape: [Int],
        precision: Precision = .float32,
        pool: BufferPool
    ) -> Tensor {
        let y = pool.tensor(shape)
        write(x, weight, to: y, accumulate: false, bias: bias, precision: precision, pool: pool)
        return y
    }

    /// Adds `x W^T` to y, [N, out].
    public static func add(
        _ x: Tensor,
        weight: Tensor,
        to y: Tensor,
        precision: Precision = .float32,
        pool: BufferPool
    ) {
        write(x, weight, to: y, accumulate: true, bias: nil, precision: precision, pool: pool)
    }

    private static func write(
        _ x: Tensor,
        _ weight: Tensor,
        to y: Tensor,
        accumulate: Bool,
        bias: Tensor?,
        precision: Precision,
        pool: BufferPool
    ) {
        let (out, width) = (weight.shape[0], weight.shape[1])
        MatrixProduct.multiply(
            MatrixView(x.base, stride: width),
            MatrixView(weight.base, stride: width, transposed: true),
            into: MatrixView(y.base, stride: out),
            m: x.count / max(width, 1),
            n: out,
            k: width,
            accumulate: accumulate,
            bias: bias,
            precision: precision,
            pool: pool
        )
    }

    /// Writes or adds the gradient of x: `dy W`.
    public static func inputGradient(
        of gradient: Tensor,
        weight: Tensor,
        into dx: Tensor,
        accumulate: Bool,
        precision: Precision = .float32,
        pool: BufferPool
    ) {
        let (out, width) = (weight.shape[0], weight.shape[1])
        MatrixProduct.multiply(
            MatrixView(gradient.base, stride: out),
            MatrixView(weight.base, stride: width),
            into: MatrixView(dx.base, stride: width),
            m: gradient.count / max(out, 1),
            n: width,
            k: out,
            accumulate: accumulate,
            precision: precision,
            pool: pool
        )
    }

    /// Writes or adds the gradient of W: `dy^T x`.
    public static func weightGradient(
        of gradient: Tensor,
        input x: Tensor,
        into dw: Tensor,
        accumulate: Bool,
        precision: Precision = .float32,
        pool: BufferPool
    ) {
        let (out, width) = (dw.shape[0], dw.shape[1])
        MatrixProduct.multiply(
            MatrixView(gradient.base, stride: out, transposed: true),
            MatrixView(x.base, stride: width),
            into: MatrixView(dw.base, stride: width),
            m: out,
            n: width,
            k: gradient.count / max(out, 1),
            accumulate: accumulate,
            precision: precision,
            pool: pool
        )
    }
}
