import ModelFiles

/// The activations of a pass.
struct PassBuffers {
    /// Hidden states between blocks, [N, D].
    let hidden: FloatBuffer
    /// Hidden states after a norm, [N, D].
    let normed: FloatBuffer
    /// Queries of attention, [N, H * h], or of cross-attention, [N, I].
    let query: FloatBuffer
    /// Keys, [N, G * h].
    let key: FloatBuffer
    /// Values, [N, G * h].
    let value: FloatBuffer
    /// What attention gives, [N, H * h], or cross-attention, [N, I].
    let attended: FloatBuffer
    /// Queries, keys, values and results with heads as wide as the kernels' pages, where the model's are not.
    let padded: PaddedHeads?
    /// The inner values of SwiGLU, [N, F].
    let inner: FloatBuffer
    /// Hidden states after the final norm, [rows of logits, D].
    let final: FloatBuffer
    /// Logits, [rows of logits, V].
    let logits: FloatBuffer

    /// Allocates them for so many rows.
    init(
        _ shape: LanguageModelConfiguration,
        adapter: AdapterWeights.Configuration?,
        rows N: Int,
        logitRows: Int
    ) {
        let attention = max(shape.heads * shape.headWidth, adapter?.innerWidth ?? 0)
        hidden = FloatBuffer(count: N * shape.width)
        normed = FloatBuffer(count: N * shape.width)
        query = FloatBuffer(count: N * attention)
        key = FloatBuffer(count: N * shape.keyValueHeads * shape.headWidth)
        value = FloatBuffer(count: N * shape.keyValueHeads * shape.headWidth)
        attended = FloatBuffer(count: N * attention)
        padded = PaddedHeads(shape, rows: N)
        inner = FloatBuffer(count: N * shape.feedForwardWidth)
        final = FloatBuffer(count: logitRows * shape.width)
        logits = FloatBuffer(count: logitRows * shape.vocabularySize)
    }
}

/// Copies of queries, keys, values and attention's results whose heads end with zeros.
///
/// Pages hold heads of a multiple of 16 values; zeros change neither scores nor sums.
struct PaddedHeads {
    /// Width of a padded head.
    let width: Int
    /// [N, H * width].
    let query: FloatBuffer
    /// [N, G * width].
    let key: FloatBuffer
    /// [N, G * width].
    let value: FloatBuffer
    /// [N, H * width].
    let attended: FloatBuffer

    /// Nil where heads need no padding.
    init?(_ shape: LanguageModelConfiguration, rows N: Int) {
        width = Self.width(of: shape.headWidth)
        if width == shape.headWidth { return nil }
        query = FloatBuffer(count: N * shape.heads * width)
        key = FloatBuffer(count: N * shape.keyValueHeads * width)
        value = FloatBuffer(count: N * shape.keyValueHeads * width)
        attended = FloatBuffer(count: N * shape.heads * width)
    }

    /// The width that pages have for heads of a width.
    static func width(of headWidth: Int) -> Int { (headWidth + 15) / 16 * 16 }
}
