import CLanguageKernels
import ModelFiles

/// Where the rows of a pass lie: what attention reads and writes in every layer.
///
/// Plain memory, so that the members of a team read it without counting references. Filled before they start.
final class PassPlan {
    /// A segment's place in the pass.
    struct Part {
        /// Its first row.
        var first: Int
        /// Its attention; pages, queries and result are set for each layer.
        var attention: lk_attention
        /// Where its pages stand in a layer's list of pages.
        var firstPage: Int
        /// Pieces of attention's work of the parts before it, and with it.
        var items: Range<Int>
        /// Keys and values of its context; nil without one.
        var context: Unmanaged<PreparedContext>?

        var rows: Range<Int> { first..<first + Int(attention.rows) }
    }

    /// Rows of the pass.
    private(set) var rows = 0
    private(set) var partCount = 0
    /// Runs of rows that cross-attention changes.
    private(set) var crossRuns: [Range<Int>] = []
    /// The rows that need logits.
    private(set) var logitRows: [Int] = []
    private(set) var pageCount = 0
    private(set) var itemCount = 0
    /// Keys that all rows together attend to in a layer.
    private(set) var keyCount = 0
    private(set) var workspaceByteCount = 0

    /// The parts, in the order of their rows.
    let parts: UnsafeMutablePointer<Part>
    /// The position of each row.
    let positions: UnsafeMutablePointer<Int32>
    /// Pages of all parts in each layer, [layers, pageCount].
    private(set) var pages = UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
    private var workspace = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)

    /// Makes room for passes of at most `maximumRows` rows.
    init(maximumRows: Int) {
        parts = .allocate(capacity: maximumRows)
        positions = .allocate(capacity: maximumRows)
    }

    deinit {
        parts.deallocate()
        positions.deallocate()
        pages.deallocate()
        workspace.deallocate()
    }

    /// Describes a pass.
    func fill(_ segments: [Segment], storage: PageStorage, layers: Int, shape: LanguageModelConfiguration) {
        crossRuns.removeAll(keepingCapacity: true)
        logitRows.removeAll(keepingCapacity: true)
        (rows, partCount, itemCount, keyCount, workspaceByteCount, pageCount) = (0, 0, 0, 0, 0, 0)
        for segment in segments {
            for offset in 0..<segment.count { positions[rows + offset] = Int32(segment.firstPosition + offset) }
            append(segment, storage: storage, shape: shape)
            logitRows.append(contentsOf: rows - segment.logitCount..<rows)
        }
        fillPages(segments, storage: storage, layers: layers)
        if workspaceByteCount > workspace.count {
            workspace.deallocate()
            workspace = .allocate(byteCount: workspaceByteCount, alignment: 64)
        }
        var used = 0
        for part in 0..<partCount {
            let bytes = Int(lk_attention_workspace_bytes(&parts[part].attention))
            parts[part].attention.workspace = bytes > 0 ? workspace.baseAddress?.advanced(by: used) : nil
            used += Self.aligned(bytes)
        }
    }

    private func append(_ segment: Segment, storage: PageStorage, shape: LanguageModelConfiguration) {
        var attention = lk_attention()
        attention.layout = storage.layout
        attention.first_position = Int64(segment.firstPosition)
        attention.rows = Int64(segment.count)
        attention.heads = Int32(shape.heads)
        attention.scale = 1 / Float(shape.headWidth).squareRoot()
        attention.q_stride = Int64(shape.heads * PaddedHeads.width(of: shape.headWidth))
        attention.out_stride = attention.q_stride
        workspaceByteCount += Self.aligned(Int(lk_attention_workspace_bytes(&attention)))
        let items = Int(lk_attention_items(&attention))
        (parts + partCount).initialize(
            to: Part(
                first: rows,
                attention: attention,
                firstPage: pageCount,
                items: itemCount..<itemCount + items,
                context: segment.context.map { .passUnretained($0) }
            )
        )
        if segment.context != nil {
            let joins = crossRuns.last?.upperBound == rows
            let start = joins ? crossRuns.removeLast().lowerBound : rows
            crossRuns.append(start..<rows + segment.count)
        }
        partCount += 1
        itemCount += items
        // Row r sees the positions before its segment and r + 1 of the segment's own.
        keyCount += segment.count * segment.firstPosition + segment.count * (segment.count + 1) / 2
        pageCount += segment.pages.count
        rows += segment.count
    }

    private func fillPages(_ segments: [Segment], storage: PageStorage, layers: Int) {
        if layers * pageCount > pages.count {
            pages.deallocate()
            pages = .allocate(capacity: layers * pageCount * 2)
        }
        var index = 0
        for layer in 0..<layers {
            for segment in segments {
                for page in segment.pages {
                    pages.initializeElement(at: index, to: storage.pointer(page, layer: layer))
                    index += 1
                }
            }
        }
    }

    private static func aligned(_ byteCount: Int) -> Int { (byteCount + 63) / 64 * 64 }
}
