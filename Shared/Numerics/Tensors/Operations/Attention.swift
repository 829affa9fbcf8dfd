import CKernels
import Foundation

/// Softmax attention of queries over keys and values, one head of one sequence at a time.
///
/// Query head h reads key head `h / (H / Hkv)`. Sequences are either padded to one length or packed end to end without
/// padding. Under `causal`, query t of Tq sees keys 0 through t + Tk - Tq of Tk:
/// ```
///            keys 0 1 2 3          keys 0 1 2 3
/// query 0         x                     x x x         Tq = Tk = 4 on the left,
/// query 1         x x                   x x x x       Tq = 2, Tk = 4 on the right (two keys came before)
/// query 2         x x x
/// query 3         x x x x
/// ```
/// Queries are processed in blocks, so that only a block's scores are held, never [Tq, Tk], and under `causal` the keys
/// that no query of a block sees cost nothing. The backward pass recomputes the probabilities from the saved sums.
public struct Attention: Sendable {
    /// The rows of a sequence.
    private struct Sequence {
        /// The first row of its queries.
        let queryStart: Int
        let queries: Int
        /// The first row of its keys.
        let keyStart: Int
        /// The number of valid keys.
        let keys: Int
        /// The number of keys for the causal mask, including those that are not valid.
        let span: Int
    }

    private let sequences: [Sequence]
    private let heads: Int
    private let keyValueHeads: Int
    private let headWidth: Int
    private let causal: Bool
    private let precision: Precision
    private let queryRows: Int
    private let greatestQueries: Int
    private let greatestKeys: Int

    /// Queries processed together: a panel of the product, so that the keys end where a panel ends.
    private static let blockRows = PackedMatrix.panelColumns

    private init(
        _ sequences: [Sequence],
        width: Int,
        heads: Int,
        keyValueHeads: Int,
        causal: Bool,
        precision: Precision,
        queryRows: Int
    ) {
        precondition(width % heads == 0, "width \(width) is not divisible by \(heads) heads")
        precondition(heads % keyValueHeads == 0, "\(heads) heads are not divisible by \(keyValueHeads) key heads")
        self.sequences = sequences
        (self.heads, self.keyValueHeads, headWidth) = (heads, keyValueHeads, width / heads)
        (self.causal, self.precision, self.queryRows) = (causal, precision, queryRows)
        greatestQueries = sequences.map(\.queries).max() ?? 0
        greatestKeys = sequences.map(\.keys).max() ?? 0
    }

    /// Describes an attention over padded tensors: q is [B, Tq, H * dh], k and v are [K, Tk, Hkv * dh].
    ///
    /// - Parameters:
    ///   - query: the shape of q.
    ///   - key: the shape of k and v.
    ///   - heads: H.
    ///   - keyValueHeads: Hkv, a divisor of H.
    ///   - causal: whether a query sees only keys up to its own position.
    ///   - keyLengths: valid keys of each batch row of q; the others get no weight. Nil when all are valid.
    ///   - keyBlocks: the block of k and v that each batch row of q reads. Nil when each reads its own.
    ///   - precision: the number format of the operands of matrix products.
    public init(
        query: [Int],
        key: [Int],
        heads: Int,
        keyValueHeads: Int,
        causal: Bool,
        keyLengths: [Int32]?,
        keyBlocks: [Int32]?,
        precision: Precision = .float32
    ) {
        precondition(query.count == 3 && key.count == 3, "attention takes [B, T, D], got q \(query), k \(key)")
        let (batch, queries, keys) = (query[0], query[1], key[1])
        let width = query[2] / heads
        precondition(key[2] == keyValueHeads * width, "keys are \(key[2]) wide, not \(keyValueHeads * width)")
        if let keyLengths {
            precondition(keyLengths.count == batch, "\(keyLengths.count) key lengths for \(batch) batch rows")
            for length in keyLengths {
                precondition(length >= 0 && length <= keys, "key length \(length) is not within 0...\(keys)")
            }
        }
        if let keyBlocks {
            precondition(keyBlocks.count == batch, "\(keyBlocks.count) key blocks for \(batch) batch rows")
            for block in keyBlocks {
                precondition(block >= 0 && block < key[0], "key block \(block) is not below \(key[0])")
            }
        } else {
            precondition(key[0] == batch, "\(key[0]) key blocks for \(batch) batch rows")
        }
        let sequences = (0..<batch).map { b in
            Sequence(
                queryStart: b * queries,
                queries: queries,
                keyStart: (keyBlocks.map { Int($0[b]) } ?? b) * keys,
                keys: keyLengths.map { Int($0[b]) } ?? keys,
                span: keys
            )
        }
        self.init(
            sequences,
            width: query[2],
            heads: heads,
            keyValueHeads: keyValueHeads,
            causal: causal,
            precision: precision,
            queryRows: batch * queries
        )
    }

    /// Describes self-attention over sequences packed end to end: q, k and v are [N, H * dh].
    ///
    /// - Parameters:
    ///   - lengths: rows of each sequence; their sum is N.
    ///   - width: H * dh.
    ///   - heads: H.
    ///   - causal: whether a row sees only rows up to its own.
    ///   - precision: the number format of the operands of matrix products.
    public init(lengths: [Int32], width: Int, heads: Int, causal: Bool, precision: Precision = .float32) {
        self.init(
            queryLengths: lengths,
            keyLengths: lengths,
            width: width,
            heads: heads,
            keyValueHeads: heads,
            causal: causal,
            precision: precision
        )
    }

    /// Describes attention between sequences packed end to end: q is [N, H * dh], k and v are [M, Hkv * dh].
    ///
    /// - Parameters:
    ///   - queryLengths: queries of each sequence; their sum is N.
    ///   - keyLengths: keys of each sequence; their sum is M.
    ///   - width: H * dh.
    ///   - heads: H.
    ///   - keyValueHeads: Hkv, a divisor of H.
    ///   - causal: whether the last query of a sequence sees all of its keys, and each one before it a key less.
    ///   - precision: the number format of the operands of matrix products.
    public init(
        queryLengths: [Int32],
        keyLengths: [Int32],
        width: Int,
        heads: Int,
        keyValueHeads: Int,
        causal: Bool,
        precision: Precision = .float32
    ) {
        precondition(queryLengths.count == keyLengths.count, "\(queryLengths.count) and \(keyLengths.count) sequences")
        var sequences: [Sequence] = []
        sequences.reserveCapacity(queryLengths.count)
        var (queryStart, keyStart) = (0, 0)
        for (queries, keys) in zip(queryLengths, keyLengths) {
            precondition(queries >= 0 && keys >= 0, "the length \(min(queries, keys)) is negative")
            sequences.append(
                Sequence(
                    queryStart: queryStart,
                    queries: Int(queries),
                    keyStart: keyStart,
                    keys: Int(keys),
                    span: Int(keys)
                )
            )
            queryStart += Int(queries)
            keyStart += Int(keys)
        }
        self.init(
            sequences,
            width: width,
            heads: heads,
            keyValueHeads: keyValueHeads,
            causal: causal,
            precision: precision,
            queryRows: queryStart
        )
    }

    /// Returns the result, of the shape of q, and the logarithm of each softmax's sum for the backward pass.
    public func forward(q: Tensor, k: Tensor, v: Tensor, pool: BufferPool) -> (output: Tensor, logSums: Tensor) {
        let output = pool.tensor(q.shape)
        let logSums = pool.tensor([heads, queryRows])
        let scores = pool.tensor([min(Self.blockRows, greatestQueries), greatestKeys])
        for sequence in sequences {
            let S = sequence.keys
            for h in 0..<heads {
                let key = keyStart(sequence, h)
                let packedKeys = packed(k.base + key, n: S, k: headWidth, transposed: true, pool)
                let packedValues = packed(v.base + key, n: headWidth, k: S, transposed: false, pool)
                for block in blocks(of: sequence) {
                    let query = block.start * queryStride + h * headWidth
                    let q = MatrixView(q.base + query, stride: queryStride)
                    multiplyScores(q, packedKeys, into: scores.base, block, pool)
                    ul_attention_softmax(
                        scores.base,
                        logSums.base + h * queryRows + block.start,
                        Int64(block.rows),
                        Int64(block.keys),
                        Int64(greatestKeys),
                        causal ? 1 : 0,
                        Int64(block.offset)
                    )
                    MatrixProduct.multiply(
                        MatrixView(scores.base, stride: greatestKeys),
                        packedValues,
                        into: MatrixView(output.base + query, stride: queryStride),
                        m: block.rows,
                        n: headWidth,
                        k: block.keys,
                        pool: pool
                    )
                }
            }
        }
        return (output, logSums)
    }

    /// Returns the gradients of q, k and v.
    ///
    /// With p the probabilities and dp = do v^T: dv = p^T do, ds = p (dp - delta) with delta = sum(do * o) of a row,
    /// dq = ds k and dk = ds^T q, both times the scale.
    public func backward(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        output: Tensor,
        logSums: Tensor,
        gradient: Tensor,
        pool: BufferPool
    ) -> (q: Tensor, k: Tensor, v: Tensor) {
        let dq = pool.tensor(q.shape)
        let (dk, dv) = (pool.zeros(k.shape), pool.zeros(v.shape))
        let rows = min(Self.blockRows, greatestQueries)
        let (p, dp) = (pool.tensor([rows, greatestKeys]), pool.tensor([rows, greatestKeys]))
        let deltas = pool.tensor([rows])
        let causal: Int32 = self.causal ? 1 : 0
        for sequence in sequences {
            let S = sequence.keys
            for h in 0..<heads {
                let key = keyStart(sequence, h)
                let packedKeys = packed(k.base + key, n: S, k: headWidth, transposed: true, pool)
                let packedValues = packed(v.base + key, n: S, k: headWidth, transposed: true, pool)
                let keyRows = packed(k.base + key, n: headWidth, k: S, transposed: false, pool)
                for block in blocks(of: sequence) {
                    let query = block.start * queryStride + h * headWidth
                    let queryView = MatrixView(q.base + query, stride: queryStride)
                    let out = MatrixView(gradient.base + query, stride: queryStride)
                    let (rows, columns, stride) = (Int64(block.rows), Int64(block.keys), Int64(greatestKeys))
                    let offset = Int64(block.offset)
                    let sums = logSums.base + h * queryRows + block.start
                    multiplyScores(queryView, packedKeys, into: p.base, block, pool)
                    ul_attention_probabilities(p.base, sums, rows, columns, stride, causal, offset)
                    accumulateKeyGradient(p.base, out, into: dv.base + key, block, pool)
                    MatrixProduct.multiply(
                        out,
                        packedValues,
                        into: MatrixView(dp.base, stride: greatestKeys),
                        m: block.rows,
                        n: block.keys,
                        k: headWidth,
                        pool: pool
                    )
                    ul_row_dots(
                        deltas.base,
                        gradient.base + query,
                        output.base + query,
                        rows,
                        Int64(headWidth),
                        Int64(queryStride)
                    )
                    ul_attention_score_gradient(
                        dp.base,
                        p.base,
                        deltas.base,
                        rows,
                        columns,
                        stride,
                        causal,
                        offset,
                        scale
                    )
                    MatrixProduct.multiply(
                        MatrixView(dp.base, stride: greatestKeys),
                        keyRows,
                        into: MatrixView(dq.base + query, stride: queryStride),
                        m: block.rows,
                        n: headWidth,
                        k: block.keys,
                        pool: pool
                    )
                    accumulateKeyGradient(dp.base, queryView, into: dk.base + key, block, pool)
                }
            }
        }
        return (dq, dk, dv)
    }

    /// A block of queries processed together.
    private struct Block {
        /// The row of its first query.
        let start: Int
        let rows: Int
        /// The keys that any of its queries may see.
        let keys: Int
        /// The last key that its first query sees.
        let offset: Int
    }

    /// The blocks that cover a sequence's queries.
    private func blocks(of sequence: Sequence) -> [Block] {
        stride(from: 0, to: sequence.queries, by: Self.blockRows).map { start in
            let rows = min(Self.blockRows, sequence.queries - start)
            let offset = sequence.span - sequence.queries + start
            let panel = PackedMatrix.panelColumns
            let visible = causal ? (max(offset + rows, 0) + panel - 1) / panel * panel : sequence.keys
            return Block(
                start: sequence.queryStart + start,
                rows: rows,
                keys: min(visible, sequence.keys),
                offset: offset
            )
        }
    }

    private var scale: Float { 1 / Float(headWidth).squareRoot() }
    private var queryStride: Int { heads * headWidth }
    private var keyStride: Int { keyValueHeads * headWidth }

    private func keyStart(_ sequence: Sequence, _ h: Int) -> Int {
        sequence.keyStart * keyStride + h / (heads / keyValueHeads) * headWidth
    }

    private func packed(
        _ base: UnsafeMutablePointer<Float>,
        n: Int,
        k: Int,
        transposed: Bool,
        _ pool: BufferPool
    ) -> PackedMatrix {
        let view = MatrixView(base, stride: keyStride, transposed: transposed)
        return PackedMatrix(view, n: n, k: k, precision: precision, pool: pool)
    }

    /// Adds the contribution of a block's probabilities or score gradients to the gradient of the keys or values.
    private func accumulateKeyGradient(
        _ scores: UnsafeMutablePointer<Float>,
        _ rows: MatrixView,
        into gradient: UnsafeMutablePointer<Float>,
        _ block: Block,
        _ pool: BufferPool
    ) {
        MatrixProduct.multiply(
            MatrixView(scores, stride: greatestKeys, transposed: true),
            rows,
            into: MatrixView(gradient, stride: keyStride),
            m: block.keys,
            n: headWidth,
            k: block.rows,
            accumulate: true,
            precision: precision,
            pool: pool
        )
    }

    private func multiplyScores(
        _ q: MatrixView,
        _ keys: PackedMatrix,
        into scores: UnsafeMutablePointer<Float>,
        _ block: Block,
        _ pool: BufferPool
    ) {
        MatrixProduct.multiply(
            q,
            keys,
            into: MatrixView(scores, stride: greatestKeys),
            m: block.rows,
            n: block.keys,
            k: headWidth,
            factor: scale,
            pool: pool
        )
    }
}
