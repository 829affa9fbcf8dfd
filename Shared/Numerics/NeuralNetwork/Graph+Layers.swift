import Tensors

extension Graph {
    /// Layer normalization over the last dimension.
    public func layerNorm(_ x: Variable, gain: Parameter, bias: Parameter, epsilon: Float = 1e-5) -> Variable {
        let (input, g, b) = (x.node, node(of: gain), node(of: bias))
        checkWidth(x, gain)
        checkWidth(x, bias)
        let (output, mean, inverse) = LayerNorm.forward(
            input.value,
            gain: g.value,
            bias: b.value,
            epsilon: epsilon,
            pool: pool
        )
        return record(output, from: [input, g, b]) { [unowned self] gradient in
            // One kernel computes both; the gradient of a frozen one goes to a scratch buffer.
            var parameters: (gain: Tensor, bias: Tensor)?
            if g.requiresGradient || b.requiresGradient {
                parameters = (
                    accumulatedGradient(g) ?? pool.zeros(g.value.shape),
                    accumulatedGradient(b) ?? pool.zeros(b.value.shape)
                )
            }
            let target = gradientTarget(input)
            LayerNorm.backward(
                input.value,
                mean: mean,
                inverse: inverse,
                gain: g.value,
                gradient: gradient,
                into: target?.tensor,
                accumulate: target?.accumulate ?? false,
                parameters: parameters
            )
        }
    }

    /// Root mean square normalization over the last dimension.
    public func rmsNorm(_ x: Variable, gain: Parameter, epsilon: Float = 1e-6) -> Variable {
        let (input, g) = (x.node, node(of: gain))
        checkWidth(x, gain)
        let (output, inverse) = RMSNorm.forward(input.value, gain: g.value, epsilon: epsilon, pool: pool)
        return record(output, from: [input, g]) { [unowned self] gradient in
            let target = gradientTarget(input)
            RMSNorm.backward(
                input.value,
                inverse: inverse,
                gain: g.value,
                gradient: gradient,
                into: target?.tensor,
                accumulate: target?.accumulate ?? false,
                gainGradient: accumulatedGradient(g)
            )
        }
    }

    /// GELU in its tanh approximation.
    public func gelu(_ x: Variable) -> Variable {
        let input = x.node
        return record(Activations.gelu(input.value, pool: pool), from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Activations.geluBackward(input.value, gradient: gradient, into: target, accumulate: accumulate)
        }
    }

    /// `x * sigmoid(x)`.
    public func silu(_ x: Variable) -> Variable {
        let input = x.node
        return record(Activations.silu(input.value, pool: pool), from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Activations.siluBackward(input.value, gradient: gradient, into: target, accumulate: accumulate)
        }
    }

    /// `silu(gate) * up` (arXiv 2002.05202).
    public func swiGLU(gate: Variable, up: Variable) -> Variable {
        checkSameShape(gate, up)
        let (g, u) = (gate.node, up.node)
        return record(Activations.swiGLU(gate: g.value, up: u.value, pool: pool), from: [g, u]) {
            [unowned self] gradient in
            let gradients = Activations.swiGLUBackward(gate: g.value, up: u.value, gradient: gradient, pool: pool)
            deliver(gradients.gate, to: g)
            deliver(gradients.up, to: u)
        }
    }

    /// Zeroes each value with a probability and scales the others up while `isTraining`; otherwise returns x itself.
    public func dropout(_ x: Variable, probability: Float) -> Variable {
        precondition(probability >= 0 && probability < 1, "dropout probability \(probability) is not within 0..<1")
        guard isTraining, probability > 0 else { return x }
        let (input, key) = (x.node, nextRandomKey())
        let out = pool.tensor(input.value.shape)
        Activations.dropout(input.value, probability: probability, key: key, into: out, accumulate: false)
        return record(out, from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            Activations.dropout(gradient, probability: probability, key: key, into: target, accumulate: accumulate)
        }
    }

    /// Rotates each head of x, [B, T, heads * dh], by its row's position (rotary embedding, Hugging Face's convention).
    ///
    /// - Parameters:
    ///   - x: [B, T, heads * dh].
    ///   - heads: how many heads a row has.
    ///   - positions: one per row, B * T of them, from 0.
    ///   - base: base of the geometric sequence of frequencies, usually 10,000.
    /// - Returns: the shape of x.
    public func rotary(_ x: Variable, heads: Int, positions: [Int32], base: Float) -> Variable {
        let input = x.node
        precondition(positions.count == input.value.rows, "\(positions.count) positions for \(input.value.rows) rows")
        precondition(input.value.width % heads == 0, "width \(input.value.width) is not divisible by \(heads) heads")
        let table = rotaryTable(width: input.value.width / heads, base: base)
        let out = pool.tensor(input.value.shape)
        table.rotate(input.value, positions: positions, into: out)
        return record(out, from: [input]) { [unowned self] gradient in
            guard let (target, accumulate) = gradientTarget(input) else { return }
            table.rotate(gradient, positions: positions, backwards: true, into: target, accumulate: accumulate)
        }
    }

    /// Softmax attention, one head of one batch row at a time; see `Attention` for the mask.
    ///
    /// - Parameters:
    ///   - q: [B, Tq, heads * dh].
    ///   - k: [K, Tk, keyValueHeads * dh].
    ///   - v: of the shape of k.
    ///   - heads: heads of q.
    ///   - keyValueHeads: heads of k and v, a divisor of `heads`.
    ///   - causal: whether query t sees only keys up to t + Tk - Tq.
    ///   - keyLengths: the number of valid keys for each batch row of q, nil for all; 0 gives zeros.
    ///   - keyBlocks: which of the K blocks each batch row of q reads; nil when each has its own.
    /// - Returns: [B, Tq, heads * dh].
    public func attention(
        q: Variable,
        k: Variable,
        v: Variable,
        heads: Int,
        keyValueHeads: Int,
        causal: Bool,
        keyLengths: [Int32]? = nil,
        keyBlocks: [Int32]? = nil
    ) -> Variable {
        checkSameShape(k, v)
        let attention = Attention(
            query: q.shape,
            key: k.shape,
            heads: heads,
            keyValueHeads: keyValueHeads,
            causal: causal,
            keyLengths: keyLengths,
            keyBlocks: keyBlocks,
            precision: precision
        )
        return record(attention, q, k, v)
    }

    /// Softmax self-attention over sequences packed end to end, without padding.
    ///
    /// - Parameters:
    ///   - q: [N, heads * dh].
    ///   - k: of the shape of q.
    ///   - v: of the shape of q.
    ///   - heads: heads of each.
    ///   - lengths: rows of each sequence; their sum is N.
    ///   - causal: whether a row sees only rows up to its own.
    /// - Returns: of the shape of q.
    public func attention(
        q: Variable,
        k: Variable,
        v: Variable,
        heads: Int,
        lengths: [Int32],
        causal: Bool
    ) -> Variable {
        checkSameShape(q, k)
        return attention(
            q: q,
            k: k,
            v: v,
            heads: heads,
            keyValueHeads: heads,
            queryLengths: lengths,
            keyLengths: lengths,
            causal: causal
        )
    }

    /// Softmax attention between sequences packed end to end, without padding.
    ///
    /// - Parameters:
    ///   - q: [N, heads * dh].
    ///   - k: [M, keyValueHeads * dh].
    ///   - v: of the shape of k.
    ///   - heads: heads of q.
    ///   - keyValueHeads: heads of k and v, a divisor of `heads`.
    ///   - queryLengths: rows of q of each sequence; their sum is N.
    ///   - keyLengths: rows of k of each sequence; their sum is M.
    ///   - causal: whether the last query of a sequence sees all of its keys, and each one before it a key less.
    /// - Returns: of the shape of q.
    public func attention(
        q: Variable,
        k: Variable,
        v: Variable,
        heads: Int,
        keyValueHeads: Int,
        queryLengths: [Int32],
        keyLengths: [Int32],
        causal: Bool
    ) -> Variable {
        checkSameShape(k, v)
        let width = q.node.value.width
        precondition(width % heads == 0, "width \(width) is not divisible by \(heads) heads")
        precondition(
            k.node.value.width == width / heads * keyValueHeads,
            "keys of \(k.shape) for \(keyValueHeads) of \(heads) heads of \(q.shape)"
        )
        for (x, lengths) in [(q, queryLengths), (k, keyLengths)] {
            let rows = lengths.reduce(0) { $0 + Int($1) }
            precondition(rows == x.node.value.rows, "\(rows) rows in sequences for \(x.shape)")
        }
        let attention = Attention(
            queryLengths: queryLengths,
            keyLengths: keyLengths,
            width: width,
            heads: heads,
            keyValueHeads: keyValueHeads,
            causal: causal,
            precision: precision
        )
        return record(attention, q, k, v)
    }

    private func record(_ attention: Attention, _ q: Variable, _ k: Variable, _ v: Variable) -> Variable {
        let (query, key, value) = (q.node, k.node, v.node)
        let (output, logSums) = attention.forward(q: query.value, k: key.value, v: value.value, pool: pool)
        return record(output, from: [query, key, value]) { [unowned self] gradient in
            let gradients = attention.backward(
                q: query.value,
                k: key.value,
                v: value.value,
                output: output,
                logSums: logSums,
                gradient: gradient,
                pool: pool
            )
            deliver(gradients.q, to: query)
            deliver(gradients.k, to: key)
            deliver(gradients.v, to: value)
        }
    }

    private func checkWidth(_ x: Variable, _ parameter: Parameter) {
        precondition(
            parameter.count == x.node.value.width,
            "\(parameter.name) is \(parameter.count) wide, the rows are \(x.node.value.width)"
        )
    }
}
