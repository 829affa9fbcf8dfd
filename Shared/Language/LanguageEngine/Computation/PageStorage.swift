import CLanguageKernels
import Foundation

/// How keys and values are kept.
public enum CacheFormat: String, Sendable, CaseIterable {
    /// Float32.
    case float32
    /// bfloat16: half the memory.
    case bfloat16
    /// int8 with a scale for each position and head: a quarter of it.
    case int8

    var kernelFormat: Int32 {
        switch self {
        case .float32: Int32(LK_CACHE_F32)
        case .bfloat16: Int32(LK_CACHE_BF16)
        case .int8: Int32(LK_CACHE_INT8)
        }
    }
}

/// The memory of a pool's pages: for each layer, one block of bytes per page.
///
/// Memory that no page has used yet is not resident.
final class PageStorage {
    let layout: lk_cache_layout
    /// Number of bytes of a page in one layer.
    let byteCount: Int
    private let base: UnsafeMutableRawPointer
    private let layers: Int
    private let capacity: Int

    /// Allocates pages.
    ///
    /// - Throws: `EngineError.invalid` when the kernels do not read heads or pages of this size, or all pages together
    ///   exceed what can be addressed.
    init(
        format: CacheFormat,
        keyValueHeads: Int,
        headWidth: Int,
        layers: Int,
        positions: Int,
        capacity: Int
    ) throws(EngineError) {
        try check("num_key_value_heads", keyValueHeads, (1...1024).contains(keyValueHeads), "from 1 to 1024")
        try check("head_dim", headWidth, (1...256).contains(headWidth), "up to 256")
        let isPage = positions % 16 == 0 && (16...256).contains(positions)
        try check("pagePositions", positions, isPage, "a multiple of 16, up to 256")
        var layout = lk_cache_layout(
            format: format.kernelFormat,
            kv_heads: Int32(keyValueHeads),
            head_width: Int32(PaddedHeads.width(of: headWidth)),
            page_positions: Int32(positions)
        )
        byteCount = Int(lk_page_bytes(&layout))
        self.layout = layout
        let (perPage, overflows) = byteCount.multipliedReportingOverflow(by: layers)
        let greatest = (1 << 46) / max(perPage, 1)
        let fits = byteCount > 0 && !overflows && (1...greatest).contains(capacity) && capacity <= Int(Int32.max)
        try check("pageCount", capacity, fits, "from 1 to \(min(greatest, Int(Int32.max)))")
        self.layers = layers
        self.capacity = capacity
        var memory: UnsafeMutableRawPointer?
        let status = posix_memalign(&memory, 64, perPage * capacity)
        guard status == 0, let memory else {
            let size = "\(capacity) pages of \(perPage) bytes"
            throw .invalid(field: "pageCount", value: size, expected: "as many as there is memory for")
        }
        base = memory
    }

    deinit { free(base) }

    /// Number of bytes of one page in all layers.
    var pageByteCount: Int { byteCount * layers }

    /// Where a page lies in a layer.
    func pointer(_ page: PagePool.Page, layer: Int) -> UnsafeMutableRawPointer {
        base + (layer * capacity + Int(page)) * byteCount
    }

    /// Copies what one page holds in every layer to another.
    func copy(_ from: PagePool.Page, to other: PagePool.Page) {
        for layer in 0..<layers {
            pointer(other, layer: layer).copyMemory(from: pointer(from, layer: layer), byteCount: byteCount)
        }
    }
}
