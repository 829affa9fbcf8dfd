import CKernels

/// Layer normalization of rows: `(x - mean) / sqrt(variance + epsilon) * gain + bias` (arXiv 1607.06450).
public enum LayerNorm {
    /// Returns the result, and what the backward pass needs: each row's mean and inverse standard deviation.
    public static func forward(
        _ x: Tensor,
        gain: Tensor,
        bias: Tensor,
        epsilon: Float,
        pool: BufferPool
    ) -> (output: Tensor, mean: Tensor, inverse: Tensor) {
        let (y, mean, inverse) = (pool.tensor(x.shape), pool.tensor([x.rows]), pool.tensor([x.rows]))
        let (rows, d) = (Int64(x.rows), Int64(x.width))
        ul_layer_norm(y.base, mean.base, inverse.base, x.base, gain.base, bias.base, rows, d, epsilon)
        return (y, mean, inverse)
    }

    /// Writes or adds the gradient of x, and adds those of gain and bias; each may be nil when it is not needed.
    public static func backward(
        _ x: Tensor,
        mean: Tensor,
        inverse: Tensor,
        gain: Tensor,
        gradient: Tensor,
        into dx: Tensor?,
        accumulate: Bool,
        parameters: (gain: Tensor, bias: Tensor)?
    ) {
        ul_layer_norm_backward(
            dx?.base,
            parameters?.gain.base,
            parameters?.bias.base,
            x.base,
            mean.base,
            inverse.base,
            gain.base,
            gradient.base,
            Int64(x.rows),
            Int64(x.width),
            accumulate ? 1 : 0
        )
    }
}

/// Root mean square normalization of rows: `x / sqrt(mean(x^2) + epsilon) * gain` (arXiv 1910.07467).
public enum RMSNorm {
    /// Returns the result, and each row's inverse root mean square for the backward pass.
    public static func forward(
        _ x: Tensor,
        gain: Tensor,
        epsilon: Float,
        pool: BufferPool
    ) -> (output: Tensor, inverse: Tensor) {
        let (y, inverse) = (pool.tensor(x.shape), pool.tensor([x.rows]))
        ul_rms_norm(y.base, inverse.base, x.base, gain.base, Int64(x.rows), Int64(x.width), epsilon)
        return (y, inverse)
    }

    /// Writes or adds the gradient of x, and adds that of gain; each may be nil when it is not needed.
    public static func backward(
        _ x: Tensor,
        inverse: Tensor,
        gain: Tensor,
        gradient: Tensor,
        into dx: Tensor?,
        accumulate: Bool,
        gainGradient: Tensor?
    ) {
        let (rows, d, parameter) = (Int64(x.rows), Int64(x.width), gainGradient?.base)
        let (x, dy) = (x.base, gradient.base)
        ul_rms_norm_backward(dx?.base, parameter, x, inverse.base, gain.base, dy, rows, d, accumulate ? 1 : 0)
    }
}
