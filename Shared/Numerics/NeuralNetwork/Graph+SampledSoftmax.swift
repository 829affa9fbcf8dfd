public import Tensors

extension Graph {
    /// Cross-entropy of each row's positive vector against negatives shared by all rows: the sum over rows.
    ///
    /// - Parameters:
    ///   - x: hidden states, [N, d].
    ///   - positives: the vector of each row's target, [N, d].
    ///   - negatives: the vectors of the negatives, [M, d], in the order of `shared.ids`.
    ///   - targets: the id of each row's target; a negative with the same id is excluded from that row.
    ///   - shared: the ids of the negatives, and the biases added to their logits.
    /// - Returns: a scalar; see `SampledCrossEntropy`.
    public func sampledCrossEntropy(
        _ x: Variable,
        positives: Variable,
        negatives: Variable,
        targets: [Int32],
        shared: SharedNegatives
    ) -> Variable {
        let inputs = (x.node, positives.node, negatives.node)
        let result = SampledCrossEntropy.compute(
            inputs.0.value,
            positives: inputs.1.value,
            negatives: inputs.2.value,
            targets: targets,
            shared: shared,
            needsGradient: inputs.0.requiresGradient || inputs.1.requiresGradient || inputs.2.requiresGradient,
            precision: precision,
            pool: pool
        )
        let loss = pool.tensor([Float(result.loss)], shape: [])
        return record(loss, from: [inputs.0, inputs.1, inputs.2]) { [unowned self] gradient in
            let gradients = [
                (result.input, inputs.0), (result.positives, inputs.1), (result.negatives, inputs.2),
            ]
            for (tensor, node) in gradients {
                guard let tensor else { continue }
                if gradient[0] != 1 { Elementwise.scaleInPlace(tensor, gradient[0]) }
                deliver(tensor, to: node)
            }
        }
    }
}
