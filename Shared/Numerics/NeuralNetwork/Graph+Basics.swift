import Foundation
import Tensors

extension Graph {
    /// The affine map of the last dimension: `x W^T + b`, with W of [out, in] and b of [out].
    public func linear(_ x: Variable, weight: Parameter, bias: Parameter?) -> Variable {
        linear(x, weight: parameter(weight), bias: bias)
    }

    /// The same with a weight that is a variable: a tied table, or a computed weight.
    public func linear(_ x: Variable, weight: Variable, bias: Parameter?) -> Variable {
        let (input, w, b) = (x.node, weight.node, bias.map(node(of:)))
        precondition(
            w.value.shape.count == 2 && w.value.width == input.value.width,
            "a weight of shape \(weight.shape) does not map rows of \(input.value.width)"
        )
        precondition(b.map { $0.value.count == w.value.shape[0] } ?? true, "the bias is not \(w.value.shape[0]) wide")
        let shape = Array(x.shape.dropLast()) + [w.value.shape[0]]
        let precision = precision
        let y = Linear.forward(
            input.value,
            weight: w.value,
            bias: b?.value,
            shape: shape,
            precision: precision,
            pool: pool
        )
        return record(y, from: [input, w] + (b.map { [$0] } ?? [])) { [unowned self] gradient in
            if let (dx, accumulate) = gradientTarget(input) {
                Linear.inputGradient(
                    of: gradient,
                    weight: w.value,
                    into: dx,
                    accumulate: accumulate,
                    precision: precision,
                    pool: pool
                )
            }
            if let (dw, accumulate) = gradientTarget(w) {
                Linear.weightGradient(
                    of: gradient,
                    input: input.value,
                    into: dw,
                    accumulate: accumulate,
                    precision: precision,
                    pool: pool
                )
            }
            if let b, let (db, accumulate) = gradientTarget(b) {
                Elementwise.sumRows(gradient, into: db, accumulate: accumulate)
            }
        }
    }

    /// The sum of two variables of the same shape.
    public func add(_ a: Variable, _ b: Variable) -> Variable {
        checkSameShape(a, b)
        let (left, right) = (a.node, b.node)
        return record(Elementwise.add(left.value, right.value, pool: pool), from: [left, right]) {
            [unowned self] gradient in
            deliver(gradient, to: left)
            deliver(gradient, to: right)
        }
    }

    /// Adds `row` to each block of x with as many values: x of [B * T, d] or [B, T, d], row of [T, d] or [d].
    public func addRows(_ x: Variable, _ row: Variable) -> Variable {
        let (input, block) = (x.node, row.node)
        precondition(
            block.value.count > 0 && input.value.count % block.value.count == 0
                && block.value.width == input.value.width,
            "\(x.shape) is not made of blocks of \(row.shape)"
        )
        let sum = Elementwise.addRows(input.value, block.value, pool: pool)
        return record(sum, from: [input, block]) { [unowned self] gradient in
            if let (target, accumulate) = gradientTarget(block) {
                Elementwise.sumRows(gradient, into: target, accumulate: accumulate)
            }
            deliver(gradient, to: input)
        }
    }

    /// The elementwise product.
    public func multiply(_ a: Variable, _ b: Variable) -> Variable {
        checkSameShape(a, b)
        let (left, right) = (a.node, b.node)
        let product = Elementwise.multiply(left.value, right.value, pool: pool)
        return record(product, from: [left, right]) { [unowned self] gradient in
            if let (target, accumulate) = gradientTarget(left) {
                Elementwise.multiply(gradient, right.value, into: target, accumulate: accumulate)
            }
            if let (target, accumulate) = gradientTarget(right) {
                Elementwise.multiply(gradient, left.value, into: target, accumulate: accumulate)
            }
        }
    }

    /// `factor * x`.
    public func scale(_ x: Variable, _ factor: Float) -> Variable {
        let input = x.node
        return record(Elementwise.scale(input.value, factor, pool: pool), from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Elementwise.scale(gradient, factor, into: target, accumulate: accumulate)
        }
    }

    /// `x + tanh(gate) * y`; bit-identical to x while the gate is exactly 0.
    ///
    /// - Source: gated cross-attention of Flamingo, arXiv 2204.14198.
    public func gatedAdd(_ x: Variable, _ y: Variable, gate: Parameter) -> Variable {
        checkSameShape(x, y)
        precondition(gate.count == 1, "a gate is one number, got the shape \(gate.shape)")
        let (input, addend, opening) = (x.node, y.node, node(of: gate))
        let factor = tanh(gate.value[0])
        let sum = Elementwise.gatedAdd(input.value, addend.value, factor: factor, pool: pool)
        return record(sum, from: [input, addend, opening]) { [unowned self] gradient in
            if let total = accumulatedGradient(opening) {
                let slope = (1 - factor * factor) * Float(Elementwise.dot(gradient, addend.value))
                total.assign([total[0] + slope])
            }
            if let (target, accumulate) = gradientTarget(addend) {
                Elementwise.scale(gradient, factor, into: target, accumulate: accumulate)
            }
            deliver(gradient, to: input)
        }
    }

    /// The weighted sum of scalars.
    public func sum(_ scalars: [(Variable, Float)]) -> Variable {
        let nodes = scalars.map { $0.0.node }
        precondition(nodes.allSatisfy { $0.value.count == 1 }, "sum takes scalars, got \(nodes.map(\.value.shape))")
        let factors = scalars.map(\.1)
        let total = zip(nodes, factors).reduce(Float(0)) { $0 + $1.0.value[0] * $1.1 }
        return record(pool.tensor([total], shape: []), from: nodes) { [unowned self] gradient in
            for (node, factor) in zip(nodes, factors) {
                guard let (target, accumulate) = gradientTarget(node) else { continue }
                Elementwise.scale(gradient, factor, into: target, accumulate: accumulate)
            }
        }
    }

    /// The sum of all values of x, each times its own weight: a scalar.
    public func weightedSum(_ x: Variable, weights: [Float]) -> Variable {
        let input = x.node
        let factors = pool.tensor(weights, shape: input.value.shape)
        let total = Float(Elementwise.dot(input.value, factors))
        return record(pool.tensor([total], shape: []), from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Elementwise.scale(factors, gradient[0], into: target, accumulate: accumulate)
        }
    }

    func checkSameShape(_ a: Variable, _ b: Variable) {
        precondition(a.shape == b.shape, "the shapes \(a.shape) and \(b.shape) differ")
    }
}
