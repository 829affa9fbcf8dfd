import CKernels

/// Functions of single values, and the gradients they pass back.
public enum Activations {
    /// Returns GELU in its tanh approximation.
    public static func gelu(_ x: Tensor, pool: BufferPool) -> Tensor { mapped(x, pool, ul_gelu) }

    /// Writes or adds the gradient with respect to the input of GELU.
    public static func geluBackward(_ x: Tensor, gradient: Tensor, into out: Tensor, accumulate: Bool) {
        ul_gelu_backward(out.base, x.base, gradient.base, Int64(x.count), accumulate ? 1 : 0)
    }

    /// Returns `x * sigmoid(x)`.
    public static func silu(_ x: Tensor, pool: BufferPool) -> Tensor { mapped(x, pool, ul_silu) }

    /// Writes or adds the gradient with respect to the input of SiLU.
    public static func siluBackward(_ x: Tensor, gradient: Tensor, into out: Tensor, accumulate: Bool) {
        ul_silu_backward(out.base, x.base, gradient.base, Int64(x.count), accumulate ? 1 : 0)
    }

    /// Returns `silu(gate) * up`.
    public static func swiGLU(gate: Tensor, up: Tensor, pool: BufferPool) -> Tensor {
        let out = pool.tensor(gate.shape)
        ul_swiglu(out.base, gate.base, up.base, Int64(gate.count))
        return out
    }

    /// Returns the gradients of both inputs of SwiGLU.
    public static func swiGLUBackward(
        gate: Tensor,
        up: Tensor,
        gradient: Tensor,
        pool: BufferPool
    ) -> (gate: Tensor, up: Tensor) {
        let (dGate, dUp) = (pool.tensor(gate.shape), pool.tensor(up.shape))
        ul_swiglu_backward(dGate.base, dUp.base, gate.base, up.base, gradient.base, Int64(gate.count))
        return (dGate, dUp)
    }

    /// Writes or adds x with each value zeroed with the given probability and the others scaled up.
    ///
    /// The mask is a function of `key` alone, so that the backward pass is the same call on the gradient.
    public static func dropout(_ x: Tensor, probability: Float, key: UInt64, into out: Tensor, accumulate: Bool) {
        ul_dropout(out.base, x.base, Int64(x.count), probability, key, accumulate ? 1 : 0)
    }

    /// Returns `e^x`, within 2e-7 relative for |x| below 87.
    public static func exponential(_ x: Tensor, pool: BufferPool) -> Tensor { mapped(x, pool, ul_exp) }

    private static func mapped(
        _ x: Tensor,
        _ pool: BufferPool,
        _ kernel: (UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int64) -> Void
    ) -> Tensor {
        let out = pool.tensor(x.shape)
        kernel(out.base, x.base, Int64(x.count))
        return out
    }
}
