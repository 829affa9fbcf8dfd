import CLanguageKernels
public import ModelFiles

extension EngineConfiguration {
    /// Chooses the number of pages that fit into memory of a size, at least one.
    ///
    /// - Parameters:
    ///   - byteCount: the memory for keys and values.
    ///   - model: whose keys and values these are; the page's positions and format must be set before.
    public mutating func setPages(within byteCount: Int, for model: LanguageModelConfiguration) {
        let perPage = pageByteCount(for: model)
        pageCount = perPage <= 0 ? 1 : max(1, byteCount / perPage)
    }

    /// Number of bytes of one page of this model's keys and values in all layers; 0 for heads that are not supported.
    public func pageByteCount(for model: LanguageModelConfiguration) -> Int {
        var layout = lk_cache_layout(
            format: cacheFormat.kernelFormat,
            kv_heads: Int32(clamping: model.keyValueHeads),
            head_width: Int32(clamping: PaddedHeads.width(of: model.headWidth)),
            page_positions: Int32(clamping: pagePositions)
        )
        let (perPage, overflows) = Int(lk_page_bytes(&layout)).multipliedReportingOverflow(by: model.layers)
        return overflows ? 0 : max(perPage, 0)
    }
}
