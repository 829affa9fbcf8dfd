import Tensors

extension Graph {
    /// Self-attention with weights `silu(q k^T + bias) / n`, without a softmax; see `PointwiseAttention`.
    ///
    /// - Parameters:
    ///   - packed: [N, 3 * d], timelines packed end to end: values, queries and keys concatenated.
    ///   - positionBias: [heads, P] under `causal`, else [heads, 2 P - 1]; P is at least the longest.
    ///   - timeBias: [heads, buckets], with `times`; nil for none.
    ///   - times: in seconds, one per row, [N].
    ///   - heads: heads of values, queries and keys.
    ///   - causal: whether a query sees only keys up to its own position.
    ///   - divisor: n, a constant of the model.
    ///   - lengths: rows of each timeline; their sum is N.
    /// - Returns: [N, d].
    public func pointwiseAttention(
        _ packed: Variable,
        positionBias: Parameter,
        timeBias: Parameter? = nil,
        times: [Int32]? = nil,
        heads: Int,
        causal: Bool,
        divisor: Int,
        lengths: [Int32]
    ) -> Variable {
        let attention = PointwiseAttention(
            packed: packed.shape,
            positions: positionBias.shape,
            heads: heads,
            causal: causal,
            divisor: divisor,
            lengths: lengths,
            times: times,
            precision: precision
        )
        let (input, position, time) = (packed.node, node(of: positionBias), timeBias.map(node(of:)))
        let output = attention.forward(
            input.value,
            positions: position.value,
            timeBias: time?.value,
            pool: pool
        )
        return record(output, from: [input, position] + (time.map { [$0] } ?? [])) { [unowned self] gradient in
            let gradients = attention.backward(
                input.value,
                positions: position.value,
                timeBias: time?.value,
                gradient: gradient,
                pool: pool
            )
            deliver(gradients.packed, to: input)
            deliver(gradients.positions, to: position)
            if let time { deliver(gradients.times, to: time) }
        }
    }
}
