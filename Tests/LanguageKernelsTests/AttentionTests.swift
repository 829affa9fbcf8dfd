import CLanguageKernels
import Testing

/// Keys and values of one sequence in pages, and queries for all of its positions.
final class PagedSequence {
    let layout: lk_cache_layout
    let length: Int
    let heads: Int
    let q: [Float]
    let k: [Float]
    let v: [Float]
    private var pages: [UnsafeMutableRawPointer?] = []

    var width: Int { Int(layout.head_width) }
    var kvWidth: Int { Int(layout.kv_heads) * width }
    var qWidth: Int { heads * width }

    init(_ layout: lk_cache_layout, length: Int, group: Int, seed: UInt64) {
        var generator = Generator(seed)
        self.layout = layout
        self.length = length
        heads = Int(layout.kv_heads) * group
        let (width, kvHeads) = (Int(layout.head_width), Int(layout.kv_heads))
        q = generator.values(length * kvHeads * group * width, scale: 1.5)
        k = generator.values(length * kvHeads * width)
        v = generator.values(length * kvHeads * width)
        let page = Int(layout.page_positions)
        let bytes = withUnsafePointer(to: layout) { lk_page_bytes($0) }
        for _ in 0..<(length + page - 1) / page {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
            // NaN everywhere: what was never written must not be read.
            memory.initializeMemory(as: UInt8.self, repeating: 0xFF, count: bytes)
            pages.append(memory)
        }
    }

    deinit { for page in pages { page?.deallocate() } }

    /// Stores keys and values of some positions.
    func write(_ positions: Range<Int>) {
        withUnsafePointer(to: layout) { layout in
            k.withUnsafeBufferPointer { k in
                v.withUnsafeBufferPointer { v in
                    guard let k = k.baseAddress, let v = v.baseAddress else { return }
                    let (first, stride) = (positions.lowerBound * kvWidth, Int64(kvWidth))
                    let (start, count) = (Int64(positions.lowerBound), Int64(positions.count))
                    lk_cache_write(layout, pages, start, k + first, stride, v + first, stride, count)
                }
            }
        }
    }

    /// The attention of some positions, by so many threads.
    func attend(_ positions: Range<Int>, members: Int32 = 1) throws -> [Float] {
        var out = [Float](repeating: -7, count: positions.count * qWidth)
        let readable = pages.map { UnsafeRawPointer($0) }
        try q.withUnsafeBufferPointer { q in
            try readable.withUnsafeBufferPointer { pages in
                try out.withUnsafeMutableBufferPointer { out in
                    var attention = lk_attention()
                    attention.layout = layout
                    attention.pages = pages.baseAddress
                    attention.first_position = Int64(positions.lowerBound)
                    attention.rows = Int64(positions.count)
                    attention.heads = Int32(heads)
                    attention.scale = 1 / Float(width).squareRoot()
                    attention.q = q.baseAddress.map { $0 + positions.lowerBound * qWidth }
                    attention.q_stride = Int64(qWidth)
                    attention.out = out.baseAddress
                    attention.out_stride = Int64(qWidth)
                    try #require(lk_attention_check(&attention) == LK_OK)
                    let workspace = UnsafeMutableRawPointer.allocate(
                        byteCount: lk_attention_workspace_bytes(&attention),
                        alignment: 64
                    )
                    defer { workspace.deallocate() }
                    attention.workspace = workspace
                    try run(&attention, members)
                }
            }
        }
        return out
    }

    private struct Work {
        let team: OpaquePointer
        let attention: UnsafePointer<lk_attention>
    }

    private func run(_ attention: inout lk_attention, _ members: Int32) throws {
        guard members > 1 else {
            lk_attention_all(&attention)
            return
        }
        let team = try #require(lk_team_create(members))
        defer { lk_team_destroy(team) }
        withUnsafePointer(to: attention) { attention in
            var work = Work(team: team, attention: attention)
            lk_team_run(
                team,
                { context, member, members in
                    guard let work = context?.assumingMemoryBound(to: Work.self).pointee else { return }
                    let items = lk_attention_items(work.attention)
                    while true {
                        let item = lk_team_claim(work.team)
                        if item >= items { break }
                        lk_attention_run(work.attention, item)
                    }
                    lk_team_barrier(work.team)
                    lk_attention_finish(work.attention, member, members)
                },
                &work
            )
        }
    }

    /// What one head of one position gives, in double precision, and the largest magnitude of a value it reads.
    func exact(_ position: Int, _ head: Int) -> [Double] {
        let group = heads / Int(layout.kv_heads)
        let at = head / group * width
        let own = q[position * qWidth + head * width..<position * qWidth + (head + 1) * width]
        let scores = (0...position).map { p in
            zip(own, k[p * kvWidth + at..<p * kvWidth + at + width]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                / Double(width).squareRoot()
        }
        let largest = scores.max() ?? 0
        let weights = scores.map { exponential($0 - largest) }
        let sum = weights.reduce(0, +)
        return (0..<width).map { d in
            (0...position).reduce(0.0) { $0 + weights[$1] * Double(v[$1 * kvWidth + at + d]) } / sum
        }
    }
}

/// e^x in double precision, x at most 0: by a series after halving.
func exponential(_ x: Double) -> Double {
    guard x > -700 else { return 0 }
    let small = x / 1024
    var (term, sum) = (1.0, 1.0)
    for n in 1..<20 {
        term *= small / Double(n)
        sum += term
    }
    return (0..<10).reduce(sum) { value, _ in value * value }
}

extension KernelTests {
    /// Attention over pages.
    @Suite struct Attention {
        static let layouts: [(kvHeads: Int32, group: Int, width: Int32, page: Int32)] = [
            (3, 3, 64, 16), (1, 4, 16, 32), (2, 1, 80, 16), (2, 7, 128, 32), (1, 2, 256, 16),
        ]

        /// How far a result may be from the exact one.
        ///
        /// Values are below 3 and weights sum to one. bfloat16 rounds keys and values to 2^-9 of themselves, int8 to 1/254 of a head's largest; a score's error, of the same share times
        /// its terms, weighs about as much again.
        static let formats: [(format: Int, tolerance: Double)] = [
            (LK_CACHE_F32, 3e-6), (LK_CACHE_BF16, 0.015), (LK_CACHE_INT8, 0.04),
        ]

        static func layout(_ index: Int, _ format: Int) -> lk_cache_layout {
            let (kvHeads, _, width, page) = layouts[index]
            return lk_cache_layout(
                format: Int32(format),
                kv_heads: kvHeads,
                head_width: width,
                page_positions: page
            )
        }

        @Test(arguments: layouts.indices, formats.indices)
        func isNearTheExactOne(layout: Int, format: Int) throws {
            let (format, tolerance) = Self.formats[format]
            let length = layout == 0 ? 700 : 150
            let sequence = PagedSequence(
                Self.layout(layout, format),
                length: length,
                group: Self.layouts[layout].group,
                seed: UInt64(layout)
            )
            sequence.write(0..<length)
            let positions = [0, 1, 15, 16, 31, 63, 64, 100, 149, length - 1].filter { $0 < length }
            let expected = positions.map { p in (0..<sequence.heads).flatMap { sequence.exact(p, $0) } }
            try withEachVariant { variant in
                let out = try sequence.attend(0..<length)
                for (p, exact) in zip(positions, expected) {
                    let worst = distance(out[p * sequence.qWidth..<(p + 1) * sequence.qWidth], exact)
                    #expect(worst < tolerance, "\(variant), position \(p): \(worst)")
                }
            }
        }

        @Test(arguments: layouts.indices, formats.indices)
        func bitsDoNotDependOnTheCutOrOnThreads(layout: Int, format: Int) throws {
            let length = layout == 0 ? 1100 : 190
            let sequence = PagedSequence(
                Self.layout(layout, Self.formats[format].format),
                length: length,
                group: Self.layouts[layout].group,
                seed: UInt64(20 + layout)
            )
            sequence.write(0..<length)
            var generator = Generator(UInt64(layout * 3 + format))
            try withEachVariant { variant in
                // The plain loops are too slow for the whole of a long sequence.
                let start = variant == "reference" && length > 500 ? length - 90 : 0
                let all = try sequence.attend(start..<length)
                for (count, members) in [(1, 1), (1, 2), (1, 3), (2, 4), (5, 1), (16, 2), (17, 3), (60, 2)] {
                    let random = Int.random(in: start...length - count, using: &generator)
                    let first = members == 2 ? length - count : random
                    let out = try sequence.attend(first..<first + count, members: Int32(members))
                    let width = sequence.qWidth
                    let expected = bits(all[(first - start) * width..<(first - start + count) * width])
                    #expect(bits(out) == expected, "\(variant), \(count) positions at \(first), \(members) threads")
                }
            }
        }

        @Test func aPromptWrittenInPiecesIsTheSame() throws {
            for (format, _) in Self.formats {
                let whole = PagedSequence(Self.layout(0, format), length: 100, group: 3, seed: 5)
                whole.write(0..<100)
                let pieces = PagedSequence(Self.layout(0, format), length: 100, group: 3, seed: 5)
                try withEachVariant { variant in
                    let expected = try whole.attend(0..<100)
                    var out: [Float] = []
                    for piece in [0..<1, 1..<37, 37..<38, 38..<90, 90..<100] {
                        // Only what is written so far can be read.
                        pieces.write(piece)
                        out += try pieces.attend(piece)
                    }
                    #expect(bits(out) == bits(expected), "\(variant)")
                }
            }
        }

        @Test func layoutsOutOfRangeAreRefused() {
            let changes = [
                (3, 1, 64, 16), (0, 0, 64, 16), (0, 1, 20, 16), (0, 1, 272, 16), (0, 1, 64, 24), (0, 1, 64, 0),
            ]
            for change in changes {
                var layout = lk_cache_layout(
                    format: Int32(change.0),
                    kv_heads: Int32(change.1),
                    head_width: Int32(change.2),
                    page_positions: Int32(change.3)
                )
                #expect(lk_page_bytes(&layout) == 0)
                var attention = lk_attention()
                attention.layout = layout
                attention.heads = 1
                #expect(lk_attention_check(&attention) == LK_ERROR_SHAPE)
            }
            var layout = Self.layout(0, LK_CACHE_INT8)
            #expect(lk_page_bytes(&layout) == 3 * (2 * 16 * 4 + 2 * 16 * 64))
        }

        @Test(arguments: [1, 5, 16, 33])
        func crossAttentionReadsTheWholeContext(count: Int) throws {
            var generator = Generator(UInt64(count))
            for (heads, width) in [(2, 64), (3, 20), (1, 7)] {
                let all = heads * width
                let q = generator.values(4 * all)
                let (k, v) = (generator.values(count * all), generator.values(count * all))
                var expected: [Double] = []
                for item in 0..<4 * heads {
                    let (row, at) = (item / heads, item % heads * width)
                    let scores = (0..<count).map { j in
                        (0..<width).reduce(0.0) { $0 + Double(q[row * all + at + $1] * k[j * all + at + $1]) } * 0.1
                    }
                    let weights = scores.map { exponential($0 - 40) }
                    let sum = weights.reduce(0, +)
                    expected += (0..<width).map { d in
                        (0..<count).reduce(0.0) { $0 + weights[$1] * Double(v[$1 * all + at + d]) } / sum
                    }
                }
                withEachVariant { variant in
                    var out = [Float](repeating: 0, count: 4 * all)
                    let (stride, context, h, w) = (Int64(all), Int64(count), Int64(heads), Int64(width))
                    lk_cross_attention(&out, stride, q, stride, k, v, context, 4, h, w, 0.1)
                    #expect(distance(out, expected) < 2e-6, "\(variant), \(heads) heads of \(width)")
                    var alone = [Float](repeating: 0, count: all)
                    let last = Array(q[(3 * all)...])
                    lk_cross_attention(&alone, stride, last, stride, k, v, context, 1, h, w, 0.1)
                    #expect(bits(alone) == bits(out[(3 * all)...]), "\(variant)")
                }
            }
        }
    }
}
