import CKernels

/// Negatives shared by all rows of a batch.
public struct SharedNegatives: Sendable, Equatable {
    /// The id of each negative; a row excludes negatives that are its own target.
    public let ids: [Int32]
    /// Added to each negative's logit: the logarithm of how many items it stands for.
    public let biases: [Float]

    /// Makes the negatives.
    public init(ids: [Int32], biases: [Float]) {
        precondition(ids.count == biases.count, "\(biases.count) biases for \(ids.count) negatives")
        self.ids = ids
        self.biases = biases
    }
}

/// Cross-entropy of each row's positive vector against shared negatives: a sampled softmax over a large vocabulary.
///
/// ```
/// loss = log(e^(x . p) + sum over negatives s other than the target of e^(x . n_s + bias_s)) - x . p
/// ```
/// With bias_s = -log(M q_s), for M draws of probability q_s each, the sum is an unbiased estimate of the full
/// softmax's, so that the loss approaches the full cross-entropy as M grows. The target needs no correction, because it
/// is always included.
///
/// - Source: importance sampling of the softmax, arXiv 1412.2007.
public enum SampledCrossEntropy {
    /// The loss, and gradients for an upstream gradient of 1 where they were asked for.
    public struct Result {
        /// The sum over rows.
        public let loss: Double
        /// The gradient of the hidden states, [N, d].
        public let input: Tensor?
        /// The gradient of the positive vectors, [N, d].
        public let positives: Tensor?
        /// The gradient of the negatives' vectors, [M, d].
        public let negatives: Tensor?
    }

    /// Computes the loss and its gradients, on chunks of rows, so that no [N, M] is ever held.
    ///
    /// - Parameters:
    ///   - x: hidden states, [N, d].
    ///   - positives: the vector of each row's target, [N, d].
    ///   - negatives: the vectors of the negatives, [M, d].
    ///   - targets: the id of each row's target.
    ///   - shared: the ids of the negatives, and their biases.
    ///   - needsGradient: whether to compute the gradients.
    ///   - precision: the number format of the operands of matrix products.
    ///   - pool: provides the memory.
    /// - Returns: the loss, and the gradients where they were asked for.
    public static func compute(
        _ x: Tensor,
        positives: Tensor,
        negatives: Tensor,
        targets: [Int32],
        shared: SharedNegatives,
        needsGradient: Bool,
        precision: Precision = .float32,
        pool: BufferPool
    ) -> Result {
        let (N, d, M) = (targets.count, x.width, shared.ids.count)
        precondition(x.count == N * d && positives.count == N * d, "\(N) targets for \(x.shape), \(positives.shape)")
        precondition(negatives.count == M * d, "\(M) negatives for \(negatives.shape)")
        let gradients = needsGradient ? (pool.tensor([N, d]), pool.tensor([N, d]), pool.zeros([M, d])) : nil
        let size = min(CrossEntropy.chunkRows(M), max(N, 1))
        let (logits, chosen) = (pool.tensor([size, M]), pool.tensor([size]))
        let (columns, rows) = (
            MatrixView(negatives.base, stride: d), MatrixView(negatives.base, stride: d, transposed: true)
        )
        let forScores = PackedMatrix(rows, n: M, k: d, precision: precision, pool: pool)
        let forGradient = PackedMatrix(columns, n: d, k: M, precision: precision, pool: pool)
        var loss = 0.0
        targets.withUnsafeBufferPointer { targets in
            guard let first = targets.baseAddress else { return }
            for start in stride(from: 0, to: N, by: size) {
                let n = min(size, N - start)
                let hidden = MatrixView(x.base + start * d, stride: d)
                let scores = MatrixView(logits.base, stride: M)
                MatrixProduct.multiply(hidden, forScores, into: scores, m: n, n: M, k: d, pool: pool)
                loss += ul_sampled_cross_entropy(
                    logits.base,
                    chosen.base,
                    hidden.base,
                    positives.base + start * d,
                    first + start,
                    shared.ids,
                    shared.biases,
                    Int64(n),
                    Int64(M),
                    Int64(d),
                    needsGradient ? 1 : 0
                )
                guard let (dx, dp, dn) = gradients else { continue }
                let (own, right) = (dx.base + start * d, positives.base + start * d)
                let down = MatrixView(logits.base, stride: M, transposed: true)
                let all = MatrixView(dn.base, stride: d)
                let ownView = MatrixView(own, stride: d)
                MatrixProduct.multiply(scores, forGradient, into: ownView, m: n, n: d, k: M, pool: pool)
                MatrixProduct.multiply(
                    down,
                    hidden,
                    into: all,
                    m: M,
                    n: d,
                    k: n,
                    accumulate: true,
                    precision: precision,
                    pool: pool
                )
                ul_scale_rows(own, right, chosen.base, Int64(n), Int64(d), 1)
                ul_scale_rows(dp.base + start * d, hidden.base, chosen.base, Int64(n), Int64(d), 0)
            }
        }
        return Result(loss: loss, input: gradients?.0, positives: gradients?.1, negatives: gradients?.2)
    }
}
