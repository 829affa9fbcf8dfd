import CKernels

/// For each row, the columns that take part in its softmax.
public struct CandidateSets: Sendable {
    /// The columns of all rows, one row after another.
    public let columns: [Int32]
    /// The start of each row's columns; one more entry than rows.
    public let offsets: [Int32]

    /// Makes the sets from one flat list: row r has `columns[offsets[r] ..< offsets[r + 1]]`.
    public init(columns: [Int32], offsets: [Int32]) {
        Gather.checkOffsets(offsets, total: columns.count)
        self.columns = columns
        self.offsets = offsets
    }

    /// Makes the sets from one list per row.
    public init(_ rows: [[Int32]]) {
        columns = Array(rows.joined())
        offsets = rows.reduce(into: [0]) { $0.append($0[$0.count - 1] + Int32($1.count)) }
    }
}

/// Cross-entropy: the negative log-softmax at each row's target.
///
/// Rows with target -1 are skipped.
public enum CrossEntropy {
    /// The loss, and gradients for an upstream gradient of 1 where they were asked for.
    public struct Result {
        /// The sum over rows of weight times loss.
        public let loss: Double
        /// The gradient of the hidden states or logits.
        public let input: Tensor?
        /// The gradient of the table, [V, d].
        public let weight: Tensor?
        /// The gradient of the bias, [V].
        public let bias: Tensor?
    }

    /// Computes the loss of hidden states x, [N, d], over a table of [V, d], with its gradients.
    ///
    /// Works on chunks of rows, so that no [N, V] is ever held, and computes the gradient while a chunk's softmax is in
    /// cache: the logits are computed once. Rows with target -1 cost nothing.
    public static func tied(
        _ x: Tensor,
        weight: Tensor,
        bias: Tensor?,
        targets: [Int32],
        rowWeights: [Float]?,
        needs: (input: Bool, weight: Bool, bias: Bool),
        precision: Precision = .float32,
        pool: BufferPool
    ) -> Result {
        let (V, d) = (weight.shape[0], weight.shape[1])
        check(targets, rowWeights: rowWeights, rows: x.count / max(d, 1), columns: V)
        let counted = targets.indices.filter { targets[$0] >= 0 }
        let hasGradient = needs.input || needs.weight || needs.bias
        let dx = needs.input ? pool.zeros(x.shape) : nil
        let dw = needs.weight ? pool.zeros(weight.shape) : nil
        let db = needs.bias ? pool.zeros([V]) : nil
        let size = chunkRows(V)
        let logits = pool.tensor([size, V])
        let (rows, rowGradients) = (pool.tensor([size, d]), pool.tensor([size, d]))
        // The table is packed once for the logits and once for the gradient of the hidden states.
        let columns = MatrixView(weight.base, stride: d, transposed: true)
        let forHidden = PackedMatrix(columns, n: V, k: d, precision: precision, pool: pool)
        let forGradient = dx.map { _ in
            PackedMatrix(MatrixView(weight.base, stride: d), n: d, k: V, precision: precision, pool: pool)
        }
        var loss = 0.0
        for start in stride(from: 0, to: counted.count, by: size) {
            let chunk = counted[start..<min(start + size, counted.count)]
            let indices = chunk.map { Int32($0) }
            let chunkTargets = chunk.map { targets[$0] }
            let chunkWeights = rowWeights.map { weights in chunk.map { weights[$0] } }
            let n = indices.count
            let whole = Int(indices[n - 1]) - Int(indices[0]) == n - 1
            // Contiguous rows are used in place.
            let hidden = whole ? x.base + Int(indices[0]) * d : rows.base
            if !whole { ul_gather_rows(rows.base, x.base, indices, Int64(n), Int64(d)) }
            MatrixProduct.multiply(
                MatrixView(hidden, stride: d),
                forHidden,
                into: MatrixView(logits.base, stride: V),
                m: n,
                n: V,
                k: d,
                bias: bias,
                pool: pool
            )
            loss += ul_cross_entropy(
                logits.base,
                chunkTargets,
                chunkWeights,
                Int64(n),
                Int64(V),
                hasGradient ? 1 : 0
            )
            if let dx, let forGradient {
                let target = whole ? dx.base + Int(indices[0]) * d : rowGradients.base
                MatrixProduct.multiply(
                    MatrixView(logits.base, stride: V),
                    forGradient,
                    into: MatrixView(target, stride: d),
                    m: n,
                    n: d,
                    k: V,
                    pool: pool
                )
                if !whole { ul_scatter_add_rows(dx.base, rowGradients.base, indices, Int64(n), Int64(d)) }
            }
            if let dw {
                MatrixProduct.multiply(
                    MatrixView(logits.base, stride: V, transposed: true),
                    MatrixView(hidden, stride: d),
                    into: MatrixView(dw.base, stride: d),
                    m: V,
                    n: d,
                    k: n,
                    accumulate: true,
                    precision: precision,
                    pool: pool
                )
            }
            if let db { ul_sum_rows(db.base, logits.base, Int64(n), Int64(V), 1) }
        }
        return Result(loss: loss, input: dx, weight: dw, bias: db)
    }

    /// Computes the loss of given logits, [N, V], over all columns or over each row's candidates only.
    public static func logits(
        _ logits: Tensor,
        targets: [Int32],
        candidates: CandidateSets?,
        rowWeights: [Float]?,
        needsGradient: Bool,
        pool: BufferPool
    ) -> Result {
        let (N, V) = (logits.rows, logits.width)
        check(targets, rowWeights: rowWeights, rows: N, columns: V)
        if let candidates {
            check(candidates, targets: targets, columns: V)
            let gradient = needsGradient ? pool.tensor(logits.shape) : nil
            let loss = ul_cross_entropy_candidates(
                gradient?.base,
                logits.base,
                targets,
                rowWeights,
                candidates.columns,
                candidates.offsets,
                Int64(N),
                Int64(V)
            )
            return Result(loss: loss, input: gradient, weight: nil, bias: nil)
        }
        let work = logits.copy(pool: pool)
        let loss = ul_cross_entropy(work.base, targets, rowWeights, Int64(N), Int64(V), needsGradient ? 1 : 0)
        return Result(loss: loss, input: needsGradient ? work : nil, weight: nil, bias: nil)
    }

    /// Rows per chunk, for a few megabytes of logits; a multiple of the products' tiles.
    ///
    /// With fewer rows, the gradient of the table is read and written too often; with more, the logits no longer fit in
    /// the cache.
    static func chunkRows(_ V: Int) -> Int { min(max(524_288 / max(V, 1) / 96, 1) * 96, 480) }

    private static func check(_ targets: [Int32], rowWeights: [Float]?, rows: Int, columns: Int) {
        precondition(targets.count == rows, "\(targets.count) targets for \(rows) rows")
        precondition(rowWeights.map { $0.count == rows } ?? true, "\(rowWeights?.count ?? 0) weights for \(rows) rows")
        Gather.check(targets, below: columns)
    }

    private static func check(_ candidates: CandidateSets, targets: [Int32], columns: Int) {
        precondition(
            candidates.offsets.count == targets.count + 1,
            "\(candidates.offsets.count - 1) candidate sets for \(targets.count) rows"
        )
        for column in candidates.columns {
            precondition(
                column >= 0 && column < Int32(clamping: columns),
                "candidate \(column) is not below \(columns)"
            )
        }
        for (row, target) in targets.enumerated() where target >= 0 {
            let set = candidates.columns[Int(candidates.offsets[row])..<Int(candidates.offsets[row + 1])]
            precondition(set.contains(target), "row \(row): the target \(target) is not among its candidates")
        }
    }
}
