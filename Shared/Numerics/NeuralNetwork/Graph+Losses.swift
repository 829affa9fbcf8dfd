public import Tensors

extension Graph {
    /// Cross-entropy of hidden states over a table used as the output layer: the sum over rows of weight * loss.
    ///
    /// Neither the logits nor their softmax is ever held for all rows, and rows with target -1 cost nothing.
    ///
    /// - Parameters:
    ///   - x: hidden states, [N, d] with leading dimensions flattened.
    ///   - weight: the table, [V, d]; tied when it is `parameter(_:)` of an embedding table.
    ///   - bias: [V], or nil.
    ///   - targets: the table row of each hidden state's target; -1 skips the row.
    ///   - rowWeights: a weight for each row; nil for 1.
    /// - Returns: a scalar.
    public func crossEntropy(
        _ x: Variable,
        weight: Variable,
        bias: Parameter? = nil,
        targets: [Int32],
        rowWeights: [Float]? = nil
    ) -> Variable {
        let (input, table, b) = (x.node, weight.node, bias.map(node(of:)))
        precondition(table.value.width == input.value.width, "a table of \(weight.shape) for rows of \(x.shape)")
        let result = CrossEntropy.tied(
            input.value,
            weight: table.value,
            bias: b?.value,
            targets: targets,
            rowWeights: rowWeights,
            needs: (input.requiresGradient, table.requiresGradient, b?.requiresGradient ?? false),
            precision: precision,
            pool: pool
        )
        let loss = pool.tensor([Float(result.loss)], shape: [])
        return record(loss, from: [input, table] + (b.map { [$0] } ?? [])) { [unowned self] gradient in
            deliver(result.input, times: gradient[0], to: input)
            deliver(result.weight, times: gradient[0], to: table)
            if let b { deliver(result.bias, times: gradient[0], to: b) }
        }
    }

    /// Cross-entropy of logits: the sum over rows of weight * loss.
    ///
    /// - Parameters:
    ///   - logits: [N, V] with leading dimensions flattened.
    ///   - targets: the target column of each row; -1 skips the row.
    ///   - allowed: the columns that each row's softmax runs over, including its target; nil for all columns.
    ///   - rowWeights: a weight for each row; nil for 1.
    /// - Returns: a scalar.
    public func crossEntropy(
        _ logits: Variable,
        targets: [Int32],
        allowed: CandidateSets? = nil,
        rowWeights: [Float]? = nil
    ) -> Variable {
        let input = logits.node
        let result = CrossEntropy.logits(
            input.value,
            targets: targets,
            candidates: allowed,
            rowWeights: rowWeights,
            needsGradient: input.requiresGradient,
            pool: pool
        )
        let loss = pool.tensor([Float(result.loss)], shape: [])
        return record(loss, from: [input]) { [unowned self] gradient in
            deliver(result.input, times: gradient[0], to: input)
        }
    }

    /// Passes on a gradient that was computed for an upstream gradient of 1.
    private func deliver(_ gradient: Tensor?, times factor: Float, to node: Node) {
        guard let gradient else { return }
        if factor != 1 { Elementwise.scaleInPlace(gradient, factor) }
        deliver(gradient, to: node)
    }
}
