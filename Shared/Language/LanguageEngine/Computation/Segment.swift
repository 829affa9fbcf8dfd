/// Neighbouring positions of one text that a pass reads.
struct Segment {
    /// The tokens, one for each position; where the text has a soft prompt's row, any number.
    var tokens: ArraySlice<Int32>
    /// The text's rows that stand before its tokens: positions from 0 on.
    var softPrompt: SoftPrompt?
    /// The first position.
    var firstPosition: Int
    /// The text's pages, which have room for these positions.
    var pages: [PagePool.Page]
    /// What cross-attention reads at these positions; nil where it does nothing.
    var context: PreparedContext?
    /// How many of the last positions need logits.
    var logitCount: Int

    /// Number of positions.
    var count: Int { tokens.count }
}

/// Rows that stand before a text's embeddings.
final class SoftPrompt {
    /// Shape: [rows, D].
    let rows: WeightVector
    /// Number of rows.
    let count: Int

    /// Takes rows of `width` numbers.
    init(_ rows: [Float], width: Int) {
        self.rows = WeightVector(rows)
        count = rows.count / width
    }
}
