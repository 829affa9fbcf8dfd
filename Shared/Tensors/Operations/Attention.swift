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
/// The backward pass computes the probabilities again from the kept sums, so that no [B, H, Tq, Tk] is ever held.
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
    public init(
        query: [Int],
        key: [Int],
        heads: Int,
        keyValueHeads: Int,
        causal: Bool,
        keyLengths: [Int32]?,
        keyBlocks: [Int32]?
    ) {
        precondition(query.count == 3 && key.count == 3, "attention takes [B, T, D], got q \(query), k \(key)")
        precondition(query[2] % heads == 0, "width \(query[2]) is not divisible by \(heads) heads")
        precondition(heads % keyValueHeads == 0, "\(heads) heads are not divisible by \(keyValueHeads) key heads")
        (batch, queries, keys) = (query[0], query[1], key[1])
        (self.heads, self.keyValueHeads, headWidth) = (heads, keyValueHeads, query[2] / heads)
        precondition(key[2] == keyValueHeads * headWidth, "keys are \(key[2]) wide, not \(keyValueHeads * headWidth)")
        (self.causal, self.keyLengths, self.keyBlocks) = (causal, keyLengths, keyBlocks)
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
        let scores = pool.tensor([queries, keys])
        for b in 0..<batch {
            let S = length(b)
            for h in 0..<heads {
                let (query, key) = (queryStart(b, h), keyStart(b, h))
                multiplyScores(q.base + query, k.base + key, into: scores.base, keys: S)
                ul_attention_softmax(
                    scores.base,
                    logSums.base + (b * heads + h) * queries,
                    Int64(queries),
                    Int64(S),
                    Int64(keys),
                    causal ? 1 : 0,
                    Int64(keys - queries)
                )
                MatrixProduct.multiply(
                    MatrixView(scores.base, stride: keys),
                    MatrixView(v.base + key, stride: keyStride),
                    into: MatrixView(output.base + query, stride: queryStride),
                    m: queries,
                    n: headWidth,
                    k: S
                )
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
        let (p, dp, deltas) = (pool.tensor([queries, keys]), pool.tensor([queries, keys]), pool.tensor([queries]))
        for b in 0..<batch {
            let S = length(b)
            for h in 0..<heads {
                let (query, key) = (queryStart(b, h), keyStart(b, h))
                let (rows, columns, stride, offset) = (Int64(queries), Int64(S), Int64(keys), Int64(keys - queries))
                let causal: Int32 = self.causal ? 1 : 0
                multiplyScores(q.base + query, k.base + key, into: p.base, keys: S)
                let sums = logSums.base + (b * heads + h) * queries
                ul_attention_probabilities(p.base, sums, rows, columns, stride, causal, offset)
                let out = MatrixView(gradient.base + query, stride: queryStride)
                MatrixProduct.multiply(
                    MatrixView(p.base, stride: keys, transposed: true),
                    out,
                    into: MatrixView(dv.base + key, stride: keyStride),
                    m: S,
                    n: headWidth,
                    k: queries,
                    accumulate: true
                )
                MatrixProduct.multiply(
                    out,
                    MatrixView(v.base + key, stride: keyStride, transposed: true),
                    into: MatrixView(dp.base, stride: keys),
                    m: queries,
                    n: S,
                    k: headWidth
                )
                let (width, step) = (Int64(headWidth), Int64(queryStride))
                ul_row_dots(deltas.base, gradient.base + query, output.base + query, rows, width, step)
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
                    MatrixView(k.base + key, stride: keyStride),
                    into: MatrixView(dq.base + query, stride: queryStride),
                    m: queries,
                    n: headWidth,
                    k: S
                )
                MatrixProduct.multiply(
                    MatrixView(dp.base, stride: keys, transposed: true),
                    MatrixView(q.base + query, stride: queryStride),
                    into: MatrixView(dk.base + key, stride: keyStride),
                    m: S,
                    n: headWidth,
                    k: queries,
                    accumulate: true
                )
            }
        }
        return (dq, dk, dv)
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

    private func multiplyScores(
        _ q: UnsafeMutablePointer<Float>,
        _ k: UnsafeMutablePointer<Float>,
        into scores: UnsafeMutablePointer<Float>,
        keys S: Int
    ) {
        MatrixProduct.multiply(
            MatrixView(q, stride: queryStride),
            MatrixView(k, stride: keyStride, transposed: true),
            into: MatrixView(scores, stride: keys),
            m: queries,
            n: S,
            k: headWidth,
            factor: scale
        )
    }
}
