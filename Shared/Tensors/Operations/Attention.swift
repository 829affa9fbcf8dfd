import CKernels
import Foundation

/// Softmax attention of queries over keys and values, one head of one batch row at a time.
///
/// q is [B, Tq, H * dh], k and v are [K, Tk, Hkv * dh]. Query head h reads key head `h / (H / Hkv)`; batch row b reads
/// block `keyBlocks[b]`, or its own. Under `causal`, query t sees keys 0 through t + Tk - Tq:
/// ```
///            keys 0 1 2 3          keys 0 1 2 3
/// query 0         x                     x x x         Tq = Tk = 4 on the left,
/// query 1         x x                   x x x x       Tq = 2, Tk = 4 on the right (two keys came before)
/// query 2         x x x
/// query 3         x x x x
/// ```
/// Queries are taken in blocks, so that only a block's scores are held, never [Tq, Tk], and under `causal` the keys that
/// no query of a block sees cost nothing. The backward pass computes the probabilities again from the kept sums.
public struct Attention: Sendable {
    let batch: Int
    let queries: Int
    let keys: Int
    let heads: Int
    let keyValueHeads: Int
    let headWidth: Int
    let causal: Bool
    let keyLengths: [Int32]?
    let keyBlocks: [Int32]?
    let precision: Precision

    /// Queries that are worked on together: a panel of the product, so that the keys end where one ends.
    private static let blockRows = PackedMatrix.panelColumns

    /// Describes an attention over tensors of these shapes.
    ///
    /// - Parameters:
    ///   - query: [B, Tq, H * dh].
    ///   - key: [K, Tk, Hkv * dh], also the shape of the values.
    ///   - heads: H.
    ///   - keyValueHeads: Hkv, a divisor of H.
    ///   - causal: whether a query sees only keys up to its own position.
    ///   - keyLengths: keys of each batch row of q that count; the others get no weight. Nil when all do.
    ///   - keyBlocks: the block of k and v that each batch row of q reads. Nil when each reads its own.
    ///   - precision: in which numbers the products read their factors.
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
        precondition(query[2] % heads == 0, "width \(query[2]) is not divisible by \(heads) heads")
        precondition(heads % keyValueHeads == 0, "\(heads) heads are not divisible by \(keyValueHeads) key heads")
        (batch, queries, keys) = (query[0], query[1], key[1])
        (self.heads, self.keyValueHeads, headWidth) = (heads, keyValueHeads, query[2] / heads)
        precondition(key[2] == keyValueHeads * headWidth, "keys are \(key[2]) wide, not \(keyValueHeads * headWidth)")
        (self.causal, self.keyLengths, self.keyBlocks) = (causal, keyLengths, keyBlocks)
        self.precision = precision
        if let keyLengths {
            precondition(keyLengths.count == query[0], "\(keyLengths.count) key lengths for \(query[0]) batch rows")
            for length in keyLengths {
                precondition(length >= 0 && length <= key[1], "key length \(length) is not within 0...\(key[1])")
            }
        }
        if let keyBlocks {
            precondition(keyBlocks.count == query[0], "\(keyBlocks.count) key blocks for \(query[0]) batch rows")
            for block in keyBlocks {
                precondition(block >= 0 && block < key[0], "key block \(block) is not below \(key[0])")
            }
        } else {
            precondition(key[0] == query[0], "\(key[0]) key blocks for \(query[0]) batch rows")
        }
    }

    /// Gives the result, [B, Tq, H * dh], and the logarithm of each softmax's sum for the backward pass.
    public func forward(q: Tensor, k: Tensor, v: Tensor, pool: BufferPool) -> (output: Tensor, logSums: Tensor) {
        let output = pool.tensor(q.shape)
        let logSums = pool.tensor([batch, heads, queries])
        let scores = pool.tensor([min(Self.blockRows, queries), keys])
        for b in 0..<batch {
            let S = length(b)
            for h in 0..<heads {
                let key = keyStart(b, h)
                let packedKeys = packed(k.base + key, n: S, k: headWidth, transposed: true, pool)
                let packedValues = packed(v.base + key, n: headWidth, k: S, transposed: false, pool)
                for block in blocks(keys: S) {
                    let query = queryStart(b, h) + block.start * queryStride
                    let q = MatrixView(q.base + query, stride: queryStride)
                    multiplyScores(q, packedKeys, into: scores.base, block, pool)
                    ul_attention_softmax(
                        scores.base,
                        logSums.base + (b * heads + h) * queries + block.start,
                        Int64(block.rows),
                        Int64(block.keys),
                        Int64(keys),
                        causal ? 1 : 0,
                        Int64(block.offset)
                    )
                    MatrixProduct.multiply(
                        MatrixView(scores.base, stride: keys),
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

    /// Gives the gradients of q, k and v.
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
        let rows = min(Self.blockRows, queries)
        let (p, dp, deltas) = (pool.tensor([rows, keys]), pool.tensor([rows, keys]), pool.tensor([rows]))
        let causal: Int32 = self.causal ? 1 : 0
        for b in 0..<batch {
            let S = length(b)
            for h in 0..<heads {
                let key = keyStart(b, h)
                let packedKeys = packed(k.base + key, n: S, k: headWidth, transposed: true, pool)
                let packedValues = packed(v.base + key, n: S, k: headWidth, transposed: true, pool)
                let keyRows = packed(k.base + key, n: headWidth, k: S, transposed: false, pool)
                for block in blocks(keys: S) {
                    let query = queryStart(b, h) + block.start * queryStride
                    let queryView = MatrixView(q.base + query, stride: queryStride)
                    let out = MatrixView(gradient.base + query, stride: queryStride)
                    let (rows, columns, stride) = (Int64(block.rows), Int64(block.keys), Int64(keys))
                    let offset = Int64(block.offset)
                    let sums = logSums.base + (b * heads + h) * queries + block.start
                    multiplyScores(queryView, packedKeys, into: p.base, block, pool)
                    ul_attention_probabilities(p.base, sums, rows, columns, stride, causal, offset)
                    accumulateKeyGradient(p.base, out, into: dv.base + key, block, pool)
                    MatrixProduct.multiply(
                        out,
                        packedValues,
                        into: MatrixView(dp.base, stride: keys),
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
                        MatrixView(dp.base, stride: keys),
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

    /// Queries that are worked on together.
    private struct Block {
        /// The first of them.
        let start: Int
        let rows: Int
        /// The keys that any of them may see.
        let keys: Int
        /// The last key that the first of them sees.
        let offset: Int
    }

    /// The blocks of queries that cover all of them, for a number of keys that count.
    private func blocks(keys S: Int) -> [Block] {
        stride(from: 0, to: queries, by: Self.blockRows).map { start in
            let rows = min(Self.blockRows, queries - start)
            let offset = keys - queries + start
            let panel = PackedMatrix.panelColumns
            let visible = causal ? (max(offset + rows, 0) + panel - 1) / panel * panel : S
            return Block(start: start, rows: rows, keys: min(visible, S), offset: offset)
        }
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

    /// Adds to the gradient of the keys or values what a block's probabilities or score gradients give them.
    private func accumulateKeyGradient(
        _ scores: UnsafeMutablePointer<Float>,
        _ rows: MatrixView,
        into gradient: UnsafeMutablePointer<Float>,
        _ block: Block,
        _ pool: BufferPool
    ) {
        MatrixProduct.multiply(
            MatrixView(scores, stride: keys, transposed: true),
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
            into: MatrixView(scores, stride: self.keys),
            m: block.rows,
            n: block.keys,
            k: headWidth,
            factor: scale,
            pool: pool
        )
    }

    private var scale: Float { 1 / Float(headWidth).squareRoot() }
    private var queryStride: Int { heads * headWidth }
    private var keyStride: Int { keyValueHeads * headWidth }

    private func length(_ b: Int) -> Int { keyLengths.map { Int($0[b]) } ?? keys }

    private func queryStart(_ b: Int, _ h: Int) -> Int { b * queries * queryStride + h * headWidth }

    private func keyStart(_ b: Int, _ h: Int) -> Int {
        let block = keyBlocks.map { Int($0[b]) } ?? b
        return block * keys * keyStride + h / (heads / keyValueHeads) * headWidth
    }
}
