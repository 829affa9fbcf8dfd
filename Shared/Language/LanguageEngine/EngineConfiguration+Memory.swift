import CLanguageKernels
public import ModelFiles

extension EngineConfiguration {
    /// Chooses the number of pages that fit into memory of a size, at least one.
    ///
    /// - Parameters:
    ///   - byteCount: the memory for keys and values.
    ///   - model: whose keys and values these are; the page's positions and format must be set before.
    public mutating func setPages(within byteCount: Int, for model: LanguageModelConfiguration) {
        var layout = lk_cache_layout(
            format: cacheFormat.kernelFormat,
            kv_heads: Int32(clamping: model.keyValueHeads),
            head_width: Int32(clamping: PaddedHeads.width(of: model.headWidth)),
            page_positions: Int32(clamping: pagePositions)
        )
        let (perPage, overflows) = Int(lk_page_bytes(&layout)).multipliedReportingOverflow(by: model.layers)
        pageCount = overflows || perPage <= 0 ? 1 : max(1, byteCount / perPage)
    }
}
