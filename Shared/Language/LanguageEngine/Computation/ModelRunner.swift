import CLanguageKernels
import Foundation
import ModelFiles

/// Reads positions of many texts in one pass through a language model.
///
/// What a position gives depends on its own text up to it alone: not on the other texts of a pass, nor on how a text is
/// cut into passes, nor on the number of threads.
///
/// Shapes: `N` rows (positions) of a pass, `D` width, `H` query heads, `G` key/value heads, `h` head width, `F`
/// feed-forward width, `V` vocabulary, `I` inner width of cross-attention.
///
/// Not `Sendable`: one thread calls it, and it computes on its own team.
final class ModelRunner {
    let weights: LanguageModelWeights
    let adapter: AdapterWeights?
    let storage: PageStorage
    /// The most rows of a pass.
    let maximumRows: Int
    /// One more than the last position of a text.
    let maximumLength: Int
    let team: ThreadTeam
    /// How many rows' logits are computed at once.
    let logitRows: Int

    /// Memory for the logits of one product.
    private static let logitByteCount = 32 << 20

    private let plans: UnsafeMutableBufferPointer<BlockPlan>
    private let headPlan: ProductPlan
    private let inputs: [ProductInputs]
    private let finalInputs: ProductInputs
    // Activations, see `PassBuffers`.
    private let buffers: PassBuffers
    private let cosines: FloatBuffer
    private let sines: FloatBuffer
    private let plan: PassPlan

    /// Allocates what passes need.
    ///
    /// - Parameters:
    ///   - weights: the language model.
    ///   - adapter: cross-attention; nil for none.
    ///   - storage: keeps keys and values.
    ///   - maximumRows: the most rows of a pass.
    ///   - maximumLength: one more than the last position of a text.
    ///   - team: computes.
    /// - Throws: `EngineError.invalid` when the parts do not fit each other.
    init(
        weights: LanguageModelWeights,
        adapter: AdapterWeights?,
        storage: PageStorage,
        maximumRows: Int,
        maximumLength: Int,
        team: ThreadTeam
    ) throws(EngineError) {
        let shape = weights.configuration
        if let adapter {
            let (found, blocks) = (adapter.configuration.width, adapter.configuration.blocks)
            try check("adapter.width", found, found == shape.width, "the language model's width \(shape.width)")
            let isInside = blocks.allSatisfy { (0..<shape.layers).contains($0) }
            try check("adapter.blocks", blocks, isInside, "blocks of the language model's \(shape.layers)")
        }
        self.weights = weights
        self.adapter = adapter
        self.storage = storage
        self.maximumRows = maximumRows
        self.maximumLength = maximumLength
        self.team = team
        let rowBytes = shape.vocabularySize * MemoryLayout<Float>.stride
        logitRows = max(1, min(maximumRows, Self.logitByteCount / rowBytes))
        let buffers = PassBuffers(shape, adapter: adapter?.configuration, rows: maximumRows, logitRows: logitRows)
        self.buffers = buffers

        let hidden = ProductInputs(buffers.normed.base, width: shape.width)
        let attended = ProductInputs(buffers.attended.base, width: shape.heads * shape.headWidth)
        let inner = ProductInputs(buffers.inner.base, width: shape.feedForwardWidth)
        let crossed = adapter.map { ProductInputs(buffers.attended.base, width: $0.configuration.innerWidth) }
        finalInputs = ProductInputs(buffers.final.base, width: shape.width)
        var list: [BlockPlan] = []
        var crossCount = 0
        for (index, block) in weights.blocks.enumerated() {
            var cross: BlockPlan.Cross?
            if let layer = adapter?.layers[index], let crossed {
                cross = BlockPlan.Cross(
                    index: crossCount,
                    norm: UnsafePointer(layer.norm.base),
                    query: try ProductPlan(layer.query, hidden),
                    output: try ProductPlan(layer.output, crossed)
                )
                crossCount += 1
            }
            list.append(
                BlockPlan(
                    cross: cross,
                    attentionNorm: UnsafePointer(block.attentionNorm.base),
                    query: try ProductPlan(block.query.matrix, hidden, bias: block.query.bias),
                    key: try ProductPlan(block.key.matrix, hidden, bias: block.key.bias),
                    value: try ProductPlan(block.value.matrix, hidden, bias: block.value.bias),
                    queryNorm: block.queryNorm.map { UnsafePointer($0.base) },
                    keyNorm: block.keyNorm.map { UnsafePointer($0.base) },
                    output: try ProductPlan(block.output.matrix, attended, bias: block.output.bias),
                    feedForwardNorm: UnsafePointer(block.feedForwardNorm.base),
                    gate: try ProductPlan(block.gate, hidden),
                    up: try ProductPlan(block.up, hidden),
                    down: try ProductPlan(block.down, inner)
                )
            )
        }
        headPlan = try ProductPlan(weights.head, finalInputs)
        inputs = [hidden, attended, inner] + (crossed.map { [$0] } ?? [])
        plans = .allocate(capacity: list.count)
        _ = plans.initialize(from: list)
        // Now, so that no pass allocates.
        for input in inputs { try input.begin(rows: maximumRows) }
        try finalInputs.begin(rows: logitRows)
        plan = PassPlan(maximumRows: maximumRows)

        let half = shape.headWidth / 2
        (cosines, sines) = (FloatBuffer(count: maximumLength * half), FloatBuffer(count: maximumLength * half))
        let speeds = shape.rotaryScaling.speeds(headWidth: shape.headWidth, base: shape.rotaryBase)
        for position in 0..<maximumLength {
            for (pair, speed) in speeds.enumerated() {
                // In double and rounded once: a Float32 angle is wrong in the fourth digit at position 1,000.
                cosines.base[position * half + pair] = Float(cos(Double(position) * speed))
                sines.base[position * half + pair] = Float(sin(Double(position) * speed))
            }
        }
    }

    deinit { plans.deallocate() }

    /// Computes a context's keys and values.
    ///
    /// - Parameter rows: the projected context, shape [K, D]; K from 1 to 4,096.
    /// - Returns: nil when no layer of cross-attention is open.
    /// - Throws: `EngineError.invalid` when there is no memory.
    func prepare(context rows: [Float]) throws(EngineError) -> PreparedContext? {
        guard let adapter, !adapter.layers.isEmpty else { return nil }
        let (D, I) = (adapter.configuration.width, adapter.configuration.innerWidth)
        let K = rows.count / D
        let vector = WeightVector(rows)
        let inputs = ProductInputs(vector.base, width: D)
        var products: [(ProductPlan, UnsafeMutablePointer<Float>)] = []
        let context = PreparedContext(rowCount: K, layers: adapter.layers.count, width: I)
        for (index, (_, layer)) in adapter.layers.sorted(by: { $0.key < $1.key }).enumerated() {
            products.append((try ProductPlan(layer.key, inputs), context.keys(index)))
            products.append((try ProductPlan(layer.value, inputs), context.values(index)))
        }
        try inputs.begin(rows: K)
        let handles = inputs.handles
        // The team reads them through pointers.
        withExtendedLifetime((vector, inputs)) {
            team.run { member in
                let own = member.share(of: K)
                for input in handles { lk_input_prepare(input, Int64(own.lowerBound), Int64(own.upperBound)) }
                member.waitForAll()
                for (product, out) in products { product.multiply(0..<K, into: out, member) }
            }
        }
        return context
    }

    /// Reads positions of texts.
    ///
    /// - Parameters:
    ///   - segments: at most `maximumRows` positions in all. Of one text, a segment may follow on an earlier one.
    ///   - onLogits: called for each position that needs logits, in the order of segments and positions, with its
    ///     number in this order and its logits, [V], which it may change.
    /// - Throws: `EngineError.invalid` when there is no memory.
    func run(
        _ segments: [Segment],
        onLogits: (Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(EngineError) {
        plan.fill(segments, storage: storage, layers: plans.count, shape: weights.configuration)
        precondition(plan.rows <= maximumRows, "\(plan.rows) rows, at most \(maximumRows) are possible")
        if plan.rows == 0 { return }
        for input in inputs { try input.begin(rows: plan.rows) }
        runBlocks(segments)
        let V = weights.configuration.vocabularySize
        var first = 0
        while first < plan.logitRows.count {
            let count = min(logitRows, plan.logitRows.count - first)
            try finalInputs.begin(rows: count)
            runHead(first: first, count: count)
            for row in 0..<count {
                onLogits(first + row, UnsafeMutableBufferPointer(start: buffers.logits.base + row * V, count: V))
            }
            first += count
        }
    }

    private func runBlocks(_ segments: [Segment]) {
        let plans = UnsafeBufferPointer(plans)
        plan.crossRuns.withUnsafeBufferPointer { crossRuns in
            let pass = BlockPass(
                plan,
                crossRuns: crossRuns,
                shape: weights.configuration,
                adapter: adapter?.configuration,
                buffers: buffers,
                cosines: cosines,
                sines: sines
            )
            guard let pass else { return }
            embed(segments)
            team.run { member in
                for layer in plans.indices { pass.run(plans[layer], layer: layer, member) }
            }
        }
    }

    /// Writes the embeddings of all rows.
    private func embed(_ segments: [Segment]) {
        let D = weights.configuration.width
        let (x, table) = (buffers.hidden.base, weights.tokenTable.handle)
        var row = 0
        for segment in segments {
            for (offset, token) in segment.tokens.enumerated() {
                let position = segment.firstPosition + offset
                if let prompt = segment.softPrompt, position < prompt.count {
                    (x + row * D).update(from: prompt.rows.base + position * D, count: D)
                } else {
                    let status = lk_matrix_get_row(table, Int64(token), x + row * D)
                    precondition(status == LK_OK, "token \(token) is not in the table")
                }
                row += 1
            }
        }
    }

    private func runHead(first: Int, count: Int) {
        let D = weights.configuration.width
        let epsilon = weights.configuration.normEpsilon
        let (x, final, logits) = (buffers.hidden.base, buffers.final.base, buffers.logits.base)
        let norm = weights.finalNorm.base
        let (head, rows) = (headPlan, plan.logitRows)
        team.run { member in
            let own = member.share(of: count)
            for row in own {
                let source = x + rows[first + row] * D
                lk_rms_norm(final + row * D, Int64(D), source, Int64(D), norm, 1, Int64(D), epsilon)
            }
            lk_input_prepare(head.input, Int64(own.lowerBound), Int64(own.upperBound))
            member.waitForAll()
            head.multiply(0..<count, into: logits, member)
        }
    }
}
