import CKernels

/// Causal or full self-attention whose weights are `silu(q k^T + bias) / n`, without a softmax.
///
/// A row's weights do not sum to 1, so the result reflects how often something occurred. The bias is learnt per head:
/// one number for each distance of key and query, and one for each size of the time between them.
/// ```
/// bias[t, s] = positions[h, s - t + P - 1] + times[h, bucket(|time[t] - time[s]|)]
/// ```
/// Works on tiles of a few queries of one head, which see only the keys up to their end, so that no [B, H, L, L] is
/// ever held and little is computed that the mask discards. The backward pass recomputes a tile's scores.
///
/// - Source: HSTU, arXiv 2402.17152.
public struct PointwiseAttention: Sendable {
    /// Gradients of the inputs.
    public struct Gradients {
        /// Of the packed values, queries and keys.
        public let packed: Tensor
        /// Of the position bias.
        public let positions: Tensor
        /// Of the time bias, where there is one.
        public let times: Tensor?
    }

    let lengths: [Int]
    let rows: Int
    let longest: Int
    let heads: Int
    let headWidth: Int
    let causal: Bool
    let precision: Precision
    let times: [Int32]?
    /// The maximum number of events that the position bias covers, `P`.
    let span: Int
    let scale: Float

    private static let tileRows = 64

    /// Describes an attention over tensors of these shapes.
    ///
    /// - Parameters:
    ///   - packed: [N, 3 * H * dh], timelines end to end: of each row the values, then the queries, then the keys, head
    ///     by head.
    ///   - positions: [H, P] under `causal`, else [H, 2 P - 1]; column P - 1 is the query's own position, P - 2 the key
    ///     just before it. P is at least the length of the longest timeline.
    ///   - heads: H.
    ///   - causal: whether a query sees only keys up to its own position.
    ///   - divisor: n; a constant of the model, so that the result does not depend on the padding of a batch.
    ///   - lengths: rows of each timeline; their sum is N.
    ///   - times: in seconds, one per row, [N]; nil without a time bias.
    ///   - precision: the number format of the operands of matrix products.
    public init(
        packed: [Int],
        positions: [Int],
        heads: Int,
        causal: Bool,
        divisor: Int,
        lengths: [Int32],
        times: [Int32]?,
        precision: Precision = .float32
    ) {
        precondition(packed.count == 2, "pointwise attention takes [N, 3 d], got \(packed)")
        precondition(packed[1] % (3 * heads) == 0, "width \(packed[1]) is not divisible by 3 times \(heads) heads")
        precondition(positions.count == 2 && positions[0] == heads, "position biases \(positions) for \(heads) heads")
        self.lengths = lengths.map(Int.init)
        (rows, self.heads, headWidth, self.precision) = (packed[0], heads, packed[1] / (3 * heads), precision)
        longest = self.lengths.max() ?? 0
        span = causal ? positions[1] : (positions[1] + 1) / 2
        precondition(longest <= span, "\(longest) positions exceed the bias's \(span)")
        precondition(divisor > 0, "weights are divided by at least 1, got \(divisor)")
        (self.causal, self.times, scale) = (causal, times, 1 / Float(divisor))
        for length in lengths { precondition(length >= 0, "the length \(length) is negative") }
        precondition(self.lengths.reduce(0, +) == rows, "timelines of \(lengths) rows for \(packed)")
        precondition(times.map { $0.count == rows } ?? true, "\(times?.count ?? 0) times for \(packed)")
    }

    /// Attends.
    ///
    /// - Parameters:
    ///   - packed: values, queries and keys.
    ///   - positions: the position bias.
    ///   - timeBias: [H, buckets] where times were given: two buckets for each doubling of 1 + seconds.
    ///   - pool: provides the memory.
    /// - Returns: the weighted sums of values, [N, H * dh].
    public func forward(_ packed: Tensor, positions: Tensor, timeBias: Tensor?, pool: BufferPool) -> Tensor {
        check(positions: positions, timeBias: timeBias)
        let output = pool.tensor([rows, heads * headWidth])
        let scores = pool.tensor([Self.tileRows, longest])
        forEachTile { tile in
            let place = places(tile)
            multiplyScores(packed.base, place, tile, into: scores.base, pool)
            ul_pointwise_weights(
                scores.base,
                positions.base + tile.head * positions.width,
                Int64(span - 1),
                timeBias.map { $0.base + tile.head * $0.width },
                tile.times,
                Int32(timeBias?.width ?? 0),
                Int64(tile.first),
                Int64(tile.rows),
                Int64(tile.keys),
                Int64(longest),
                causal ? 1 : 0,
                scale
            )
            MatrixProduct.multiply(
                MatrixView(scores.base, stride: longest),
                MatrixView(packed.base + place.values, stride: stride),
                into: MatrixView(output.base + place.output, stride: heads * headWidth),
                m: tile.rows,
                n: headWidth,
                k: tile.keys,
                precision: precision,
                pool: pool
            )
        }
        return output
    }

    /// Returns the gradients of all inputs.
    ///
    /// With a the weights and da = do v^T: dv = a^T do, ds = da * silu'(s) / n, dq = ds k, dk = ds^T q, and a bias's
    /// gradient is the sum of ds over the positions it was added to.
    public func backward(
        _ packed: Tensor,
        positions: Tensor,
        timeBias: Tensor?,
        gradient: Tensor,
        pool: BufferPool
    ) -> Gradients {
        let result = Gradients(
            packed: pool.zeros(packed.shape),
            positions: pool.zeros(positions.shape),
            times: timeBias.map { pool.zeros($0.shape) }
        )
        let (scores, slopes) = (pool.tensor([Self.tileRows, longest]), pool.tensor([Self.tileRows, longest]))
        let (weights, ds) = (MatrixView(scores.base, stride: longest), MatrixView(slopes.base, stride: longest))
        func transposed(_ view: MatrixView) -> MatrixView {
            MatrixView(view.base, stride: view.stride, transposed: true)
        }
        func view(_ tensor: Tensor, _ start: Int) -> MatrixView { MatrixView(tensor.base + start, stride: stride) }
        func multiply(_ a: MatrixView, _ b: MatrixView, _ c: MatrixView, m: Int, n: Int, k: Int, adds: Bool = false) {
            MatrixProduct.multiply(
                a,
                b,
                into: c,
                m: m,
                n: n,
                k: k,
                accumulate: adds,
                precision: precision,
                pool: pool
            )
        }
        forEachTile { tile in
            let place = places(tile)
            let (rows, keys) = (tile.rows, tile.keys)
            let upstream = MatrixView(gradient.base + place.output, stride: heads * headWidth)
            multiplyScores(packed.base, place, tile, into: scores.base, pool)
            let values = transposed(view(packed, place.values))
            multiply(upstream, values, ds, m: rows, n: keys, k: headWidth)
            ul_pointwise_gradient(
                scores.base,
                slopes.base,
                positions.base + tile.head * positions.width,
                result.positions.base + tile.head * positions.width,
                Int64(span - 1),
                timeBias.map { $0.base + tile.head * $0.width },
                result.times.map { $0.base + tile.head * $0.width },
                tile.times,
                Int32(timeBias?.width ?? 0),
                Int64(tile.first),
                Int64(rows),
                Int64(keys),
                Int64(longest),
                causal ? 1 : 0,
                scale
            )
            let (dv, dk) = (view(result.packed, place.values), view(result.packed, place.keys))
            let (dq, queries) = (view(result.packed, place.queries), view(packed, place.queries))
            let (down, across) = (transposed(weights), transposed(ds))
            multiply(down, upstream, dv, m: keys, n: headWidth, k: rows, adds: true)
            multiply(ds, view(packed, place.keys), dq, m: rows, n: headWidth, k: keys)
            multiply(across, queries, dk, m: keys, n: headWidth, k: rows, adds: true)
        }
        return result
    }

    private func check(positions: Tensor, timeBias: Tensor?) {
        precondition(positions.shape == [heads, causal ? span : 2 * span - 1], "position biases \(positions.shape)")
        precondition((timeBias == nil) == (times == nil), "a time bias needs times, and times need a time bias")
        guard let timeBias else { return }
        precondition(
            timeBias.shape.count == 2 && timeBias.shape[0] == heads && timeBias.width > 0,
            "time biases \(timeBias.shape) for \(heads) heads"
        )
    }

    // MARK: - Tiles

    /// Some queries of one head of one timeline, and the keys that the last of them sees.
    private struct Tile {
        /// The timeline's first row.
        let start: Int
        let head: Int
        let first: Int
        let rows: Int
        let keys: Int
        /// Times of the timeline's rows; valid while the tile is processed.
        let times: UnsafePointer<Int32>?
    }

    /// Where a tile's parts start in their tensors.
    private struct Places {
        let values: Int
        let queries: Int
        let keys: Int
        let output: Int
    }

    private var stride: Int { 3 * heads * headWidth }

    private func forEachTile(_ body: (Tile) -> Void) {
        guard let times else { return forEachTile(times: nil, body) }
        times.withUnsafeBufferPointer { forEachTile(times: $0.baseAddress, body) }
    }

    private func forEachTile(times: UnsafePointer<Int32>?, _ body: (Tile) -> Void) {
        var start = 0
        for end in lengths {
            for h in 0..<heads {
                for first in Swift.stride(from: 0, to: end, by: Self.tileRows) {
                    let rows = min(Self.tileRows, end - first)
                    body(
                        Tile(
                            start: start,
                            head: h,
                            first: first,
                            rows: rows,
                            keys: causal ? first + rows : end,
                            times: times.map { $0 + start }
                        )
                    )
                }
            }
            start += end
        }
    }

    private func places(_ tile: Tile) -> Places {
        let (start, width) = (tile.start, heads * headWidth)
        let values = start * stride + tile.head * headWidth
        return Places(
            values: values,
            queries: values + width + tile.first * stride,
            keys: values + 2 * width,
            output: (start + tile.first) * width + tile.head * headWidth
        )
    }

    private func multiplyScores(
        _ packed: UnsafeMutablePointer<Float>,
        _ place: Places,
        _ tile: Tile,
        into scores: UnsafeMutablePointer<Float>,
        _ pool: BufferPool
    ) {
        MatrixProduct.multiply(
            MatrixView(packed + place.queries, stride: stride),
            MatrixView(packed + place.keys, stride: stride, transposed: true),
            into: MatrixView(scores, stride: longest),
            m: tile.rows,
            n: tile.keys,
            k: headWidth,
            precision: precision,
            pool: pool
        )
    }
}
