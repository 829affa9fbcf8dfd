import Tensors

extension Graph {
    /// An affine map whose weight has a low-rank update: `x (W + factor * B A)^T + b`.
    ///
    /// The product `B A` is never made: rows of x go through r numbers each.
    ///
    /// - Parameters:
    ///   - x: [N, in] with leading dimensions flattened.
    ///   - weight: W, [out, in].
    ///   - bias: b, [out], or nil.
    ///   - down: A, [r, in].
    ///   - up: B, [out, r]; while it is 0, the result is that of the weight alone.
    ///   - factor: of the update.
    /// - Returns: x with `out` as its last dimension.
    /// - Source: LoRA, arXiv 2106.09685.
    public func linear(
        _ x: Variable,
        weight: Parameter,
        bias: Parameter?,
        down: Parameter,
        up: Parameter,
        factor: Float
    ) -> Variable {
        let (input, w, b) = (x.node, node(of: weight), bias.map(node(of:)))
        let (first, second) = (node(of: down), node(of: up))
        let (out, width, rank) = (weight.shape[0], input.value.width, down.shape[0])
        precondition(
            weight.shape == [out, width] && down.shape == [rank, width] && up.shape == [out, rank],
            "\(weight.shape) with an update of \(up.shape) and \(down.shape) does not map rows of \(width)"
        )
        precondition(bias.map { $0.count == out } ?? true, "the bias is not \(out) wide")
        let precision = precision
        let y = Linear.forward(
            input.value,
            weight: w.value,
            bias: b?.value,
            shape: Array(x.shape.dropLast()) + [out],
            precision: precision,
            pool: pool
        )
        let inner = Linear.forward(
            input.value,
            weight: first.value,
            bias: nil,
            shape: [input.value.rows, rank],
            precision: precision,
            pool: pool
        )
        Elementwise.scaleInPlace(inner, factor)
        Linear.add(inner, weight: second.value, to: y, precision: precision, pool: pool)
        return record(y, from: [input, w, first, second] + (b.map { [$0] } ?? [])) { [unowned self] gradient in
            func deliverWeight(_ node: Node, of gradient: Tensor, input: Tensor) {
                guard let (dw, accumulate) = gradientTarget(node) else { return }
                Linear.weightGradient(
                    of: gradient,
                    input: input,
                    into: dw,
                    accumulate: accumulate,
                    precision: precision,
                    pool: pool
                )
            }
            func passBack(_ gradient: Tensor, through weight: Node, into target: Tensor, accumulate: Bool) {
                Linear.inputGradient(
                    of: gradient,
                    weight: weight.value,
                    into: target,
                    accumulate: accumulate,
                    precision: precision,
                    pool: pool
                )
            }
            deliverWeight(second, of: gradient, input: inner)
            if first.requiresGradient || input.requiresGradient {
                let innerGradient = pool.tensor(inner.shape)
                passBack(gradient, through: second, into: innerGradient, accumulate: false)
                Elementwise.scaleInPlace(innerGradient, factor)
                deliverWeight(first, of: innerGradient, input: input.value)
                if let (dx, accumulate) = gradientTarget(input) {
                    passBack(gradient, through: w, into: dx, accumulate: accumulate)
                    passBack(innerGradient, through: first, into: dx, accumulate: true)
                }
            }
            deliverWeight(w, of: gradient, input: input.value)
            if let b, let (db, accumulate) = gradientTarget(b) {
                Elementwise.sumRows(gradient, into: db, accumulate: accumulate)
            }
        }
    }
}
