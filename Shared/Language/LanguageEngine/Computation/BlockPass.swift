import CLanguageKernels
import ModelFiles

/// A pass through the blocks, as each member of the team runs it.
///
/// Members take rows, outputs or pieces of attention apart from each other, and wait where one reads what another wrote.
/// Plain values and pointers alone: a class here would have its references counted by all members at once.
struct BlockPass {
    private let rows: Int
    private let parts: UnsafeBufferPointer<PassPlan.Part>
    private let crossRuns: UnsafeBufferPointer<Range<Int>>
    private let itemCount: Int
    private let keyCount: Int
    private let hasWorkspace: Bool
    private let pages: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let pageCount: Int
    private let positions: UnsafePointer<Int32>

    private let D: Int, H: Int, G: Int, h: Int
    private let crossHeads: Int, I: Int
    private let epsilon: Float, crossEpsilon: Float
    private let x: UnsafeMutablePointer<Float>, normed: UnsafeMutablePointer<Float>
    private let q: UnsafeMutablePointer<Float>, k: UnsafeMutablePointer<Float>, v: UnsafeMutablePointer<Float>
    private let attended: UnsafeMutablePointer<Float>, inner: UnsafeMutablePointer<Float>
    private let cosines: UnsafePointer<Float>, sines: UnsafePointer<Float>
    /// What attention and pages read and write, and the width of a head there; the same as above without padding.
    private let pagedQ: UnsafeMutablePointer<Float>, pagedK: UnsafeMutablePointer<Float>
    private let pagedV: UnsafeMutablePointer<Float>, pagedOut: UnsafeMutablePointer<Float>
    private let hp: Int

    /// Takes what a pass needs; the plan and the buffers must outlive it.
    init?(
        _ plan: PassPlan,
        crossRuns: UnsafeBufferPointer<Range<Int>>,
        shape: LanguageModelConfiguration,
        adapter: AdapterWeights.Configuration?,
        buffers: PassBuffers,
        cosines: FloatBuffer,
        sines: FloatBuffer
    ) {
        guard let pages = plan.pages.baseAddress else { return nil }
        rows = plan.rows
        parts = UnsafeBufferPointer(start: plan.parts, count: plan.partCount)
        self.crossRuns = crossRuns
        itemCount = plan.itemCount
        keyCount = plan.keyCount
        hasWorkspace = plan.workspaceByteCount > 0
        self.pages = pages
        pageCount = plan.pageCount
        positions = UnsafePointer(plan.positions)
        (D, H, G, h) = (shape.width, shape.heads, shape.keyValueHeads, shape.headWidth)
        (crossHeads, I) = (adapter?.heads ?? 1, adapter?.innerWidth ?? 1)
        (epsilon, crossEpsilon) = (shape.normEpsilon, adapter?.normEpsilon ?? 0)
        (x, normed) = (buffers.hidden.base, buffers.normed.base)
        (q, k, v) = (buffers.query.base, buffers.key.base, buffers.value.base)
        (attended, inner) = (buffers.attended.base, buffers.inner.base)
        (self.cosines, self.sines) = (UnsafePointer(cosines.base), UnsafePointer(sines.base))
        (pagedQ, pagedK) = (buffers.padded?.query.base ?? q, buffers.padded?.key.base ?? k)
        (pagedV, pagedOut) = (buffers.padded?.value.base ?? v, buffers.padded?.attended.base ?? attended)
        hp = PaddedHeads.width(of: h)
    }

    /// One block: cross-attention where a layer is open, attention, feed-forward.
    func run(_ block: borrowing BlockPlan, layer: Int, _ member: ThreadTeam.Member) {
        if let cross = block.cross, !crossRuns.isEmpty { attendToContexts(cross, member) }
        let own = member.share(of: rows)
        norm(own, block.attentionNorm, epsilon)
        prepare(own, block.query.input, block.key.input, block.value.input)
        member.waitForAll()
        block.query.multiply(0..<rows, into: q, member)
        block.key.multiply(0..<rows, into: k, member)
        block.value.multiply(0..<rows, into: v, member)
        member.waitForAll()
        write(own, block, layer: layer)
        member.waitForAll()
        attend(layer: layer, member)
        member.waitForAll()
        if hp != h { copyHeads(own, from: pagedOut, hp, to: attended, h, heads: H) }
        prepare(own, block.output.input)
        member.waitForAll()
        block.output.multiply(0..<rows, into: x, adds: true, member)
        member.waitForAll()
        norm(own, block.feedForwardNorm, epsilon)
        prepare(own, block.gate.input, block.up.input)
        member.waitForAll()
        block.gate.multiplyGated(with: block.up, 0..<rows, into: inner, member)
        member.waitForAll()
        prepare(own, block.down.input)
        member.waitForAll()
        block.down.multiply(0..<rows, into: x, adds: true, member)
        member.waitForAll()
    }

    private func attendToContexts(_ cross: BlockPlan.Cross, _ member: ThreadTeam.Member) {
        for run in crossRuns {
            let own = own(run, member)
            norm(own, cross.norm, crossEpsilon)
            prepare(own, cross.query.input)
        }
        member.waitForAll()
        for run in crossRuns { cross.query.multiply(run, into: q, member) }
        member.waitForAll()
        for run in crossRuns {
            let own = own(run, member)
            for part in parts where part.rows.overlaps(own) {
                guard let context = part.context else { continue }
                let rows = part.rows.clamped(to: own)
                context._withUnsafeGuaranteedRef { context in
                    member.count(multiplyAdds: 2 * rows.count * context.rowCount * I)
                    lk_cross_attention(
                        attended + rows.lowerBound * I,
                        Int64(I),
                        q + rows.lowerBound * I,
                        Int64(I),
                        context.keys(cross.index),
                        context.values(cross.index),
                        Int64(context.rowCount),
                        Int64(rows.count),
                        Int64(crossHeads),
                        Int64(I / crossHeads),
                        1 / Float(I / crossHeads).squareRoot()
                    )
                }
            }
            prepare(own, cross.output.input)
        }
        member.waitForAll()
        for run in crossRuns { cross.output.multiply(run, into: x, adds: true, member) }
        member.waitForAll()
    }

    /// A member's share of a run of rows.
    private func own(_ run: Range<Int>, _ member: ThreadTeam.Member) -> Range<Int> {
        let share = member.share(of: run.count)
        return run.lowerBound + share.lowerBound..<run.lowerBound + share.upperBound
    }

    private func norm(_ rows: Range<Int>, _ gains: UnsafePointer<Float>, _ epsilon: Float) {
        let (start, stride) = (rows.lowerBound * D, Int64(D))
        lk_rms_norm(normed + start, stride, x + start, stride, gains, Int64(rows.count), stride, epsilon)
    }

    /// Prepares rows for products; inputs that several matrices share are prepared once.
    private func prepare(
        _ rows: Range<Int>,
        _ first: OpaquePointer,
        _ second: OpaquePointer? = nil,
        _ third: OpaquePointer? = nil
    ) {
        let (start, end) = (Int64(rows.lowerBound), Int64(rows.upperBound))
        lk_input_prepare(first, start, end)
        if let second, second != first { lk_input_prepare(second, start, end) }
        if let third, third != first, third != second { lk_input_prepare(third, start, end) }
    }

    /// Turns queries and keys to their positions, and stores keys and values.
    private func write(_ rows: Range<Int>, _ block: borrowing BlockPlan, layer: Int) {
        if rows.isEmpty { return }
        let (start, count) = (rows.lowerBound, Int64(rows.count))
        let (queries, keys) = (q + start * H * h, k + start * G * h)
        let width = Int64(h)
        if let gains = block.queryNorm {
            lk_rms_norm(queries, width, queries, width, gains, count * Int64(H), width, epsilon)
        }
        if let gains = block.keyNorm {
            lk_rms_norm(keys, width, keys, width, gains, count * Int64(G), width, epsilon)
        }
        lk_rotary(queries, Int64(H * h), cosines, sines, positions + start, count, Int64(H), width)
        lk_rotary(keys, Int64(G * h), cosines, sines, positions + start, count, Int64(G), width)
        if hp != h {
            copyHeads(rows, from: q, h, to: pagedQ, hp, heads: H)
            copyHeads(rows, from: k, h, to: pagedK, hp, heads: G)
            copyHeads(rows, from: v, h, to: pagedV, hp, heads: G)
        }
        for index in parts.indices where parts[index].rows.overlaps(rows) {
            let part = parts[index].rows
            let written = part.clamped(to: rows)
            let position = Int(parts[index].attention.first_position) + written.lowerBound - part.lowerBound
            withUnsafePointer(to: parts[index].attention.layout) { layout in
                lk_cache_write(
                    layout,
                    UnsafeRawPointer(pages + layer * pageCount + parts[index].firstPage)
                        .assumingMemoryBound(to: UnsafeMutableRawPointer?.self),
                    Int64(position),
                    pagedK + written.lowerBound * G * hp,
                    Int64(G * hp),
                    pagedV + written.lowerBound * G * hp,
                    Int64(G * hp),
                    Int64(written.count)
                )
            }
        }
    }

    /// Copies the heads of rows to heads of another width: values that only one of the two has are dropped, or 0.
    private func copyHeads(
        _ rows: Range<Int>,
        from source: UnsafeMutablePointer<Float>,
        _ sourceWidth: Int,
        to target: UnsafeMutablePointer<Float>,
        _ targetWidth: Int,
        heads: Int
    ) {
        for head in rows.lowerBound * heads..<rows.upperBound * heads {
            let copied = target + head * targetWidth
            copied.update(from: source + head * sourceWidth, count: min(sourceWidth, targetWidth))
            for index in min(sourceWidth, targetWidth)..<targetWidth { copied[index] = 0 }
        }
    }

    /// Attention of all parts, a piece at a time by whoever is free.
    private func attend(layer: Int, _ member: ThreadTeam.Member) {
        // Members share the pieces of attention as it comes; the first counts them all.
        if member.index == 0 { member.count(multiplyAdds: 2 * keyCount * H * h) }
        var index = 0
        while true {
            let item = member.claim()
            guard item < itemCount else { break }
            while item >= parts[index].items.upperBound { index += 1 }
            var attention = attention(of: index, layer: layer)
            lk_attention_run(&attention, Int64(item - parts[index].items.lowerBound))
        }
        guard hasWorkspace else { return }
        member.waitForAll()
        for index in parts.indices where parts[index].attention.workspace != nil {
            var attention = attention(of: index, layer: layer)
            lk_attention_finish(&attention, Int32(member.index), Int32(member.count))
        }
    }

    private func attention(of index: Int, layer: Int) -> lk_attention {
        var attention = parts[index].attention
        let first = parts[index].first * H * hp
        attention.q = UnsafePointer(pagedQ + first)
        attention.out = pagedOut + first
        attention.pages = UnsafeRawPointer(pages + layer * pageCount + parts[index].firstPage)
            .assumingMemoryBound(to: UnsafeRawPointer?.self)
        return attention
    }
}
