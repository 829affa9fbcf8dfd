/// Keys and values of the tokens that a language model has read, for `B` texts of the same length.
///
/// Shared parts are stored once. The tokens that were read together first, usually a prompt, form a block shared by all
/// texts that continue it; each later token is stored as one row, and a text is a path through these rows:
/// ```
/// block       token 3   token 4       paths of the texts
/// [0 1 2]     row 0     row 0         0, 0
///             row 1     row 1         0, 1
///                       row 2         1, 2
/// ```
/// So memory grows with the block, plus the number of texts times the tokens each has read since.
///
/// A value type: a copy forks the decoding.
public struct KeyValueCache: Sendable {
    /// One layer's keys and values, token by token.
    struct Layer: Sendable {
        var keys: [Float]
        var values: [Float]
    }

    private struct Text: Sendable {
        /// The block that it begins with.
        let block: Int
        /// Its row for each later token.
        var rows: [Int32] = []
    }

    /// Width of one token's key, and of its value, in one layer.
    let width: Int
    private var texts: [Text]
    /// Tokens of each block.
    private var blockLength = 0
    /// Per layer, shape [blocks, blockLength, width].
    private var blocks: [Layer] = []
    /// Per later token and layer, shape [rows, width].
    private var steps: [[Layer]] = []

    init(count: Int, width: Int) {
        self.width = width
        texts = (0..<count).map { Text(block: $0) }
    }

    /// Number of texts, `B`.
    public var count: Int { texts.count }

    /// Tokens of each text so far.
    public var length: Int { blockLength + steps.count }

    /// The number of stored values.
    var numberCount: Int {
        (blocks + steps.joined()).reduce(0) { $0 + $1.keys.count + $1.values.count }
    }

    /// Selects these texts, in this order; a text may appear several times.
    ///
    /// No key or value is copied.
    public func selecting(_ chosen: [Int]) -> KeyValueCache {
        var result = self
        result.texts = chosen.map { texts[$0] }
        return result
    }

    /// Stores the layers' keys and values of the tokens read together, shape [B, tokens, width] each.
    mutating func begin(with layers: [Layer], tokens: Int) {
        precondition(length == 0, "the cache holds \(length) tokens already")
        (blocks, blockLength) = (layers, tokens)
    }

    /// Stores the layers' keys and values of one more token of each text, shape [B, width] each.
    mutating func append(_ layers: [Layer]) {
        steps.append(layers)
        for index in texts.indices { texts[index].rows.append(Int32(index)) }
    }

    /// One layer's keys and values of some texts, including those of the newest token, which has a row for every text.
    ///
    /// - Parameters:
    ///   - layer: the layer's index.
    ///   - newest: the layer's keys and values of that token, shape [B, width].
    ///   - chosen: the selected texts.
    /// - Returns: shape [chosen, length + 1, width] each.
    func joined(layer: Int, newest: Layer, of chosen: Range<Int>) -> Layer {
        var result = Layer(keys: [], values: [])
        result.keys.reserveCapacity(chosen.count * (length + 1) * width)
        result.values.reserveCapacity(chosen.count * (length + 1) * width)
        func add(_ source: Layer, _ range: Range<Int>) {
            result.keys.append(contentsOf: source.keys[range])
            result.values.append(contentsOf: source.values[range])
        }
        for text in chosen {
            let block = texts[text].block * blockLength * width
            add(blocks[layer], block..<block + blockLength * width)
            for (step, row) in zip(steps, texts[text].rows) {
                add(step[layer], Int(row) * width..<(Int(row) + 1) * width)
            }
            add(newest, text * width..<(text + 1) * width)
        }
        return result
    }
}
