/// The keys and values of one context in every open layer of cross-attention, computed once for an answer.
final class PreparedContext {
    /// Number of rows of the context.
    let rowCount: Int
    private let storage: FloatBuffer
    private let layerSize: Int

    /// Makes room for the keys and values of `layers` layers, each [rows, width].
    init(rowCount: Int, layers: Int, width: Int) {
        self.rowCount = rowCount
        layerSize = rowCount * width
        storage = FloatBuffer(count: 2 * layers * layerSize)
    }

    /// Keys of a layer, [rows, width].
    func keys(_ layer: Int) -> UnsafeMutablePointer<Float> { storage.base + 2 * layer * layerSize }
    /// Values of a layer, [rows, width].
    func values(_ layer: Int) -> UnsafeMutablePointer<Float> { storage.base + (2 * layer + 1) * layerSize }
}
