/// Keys and values of the tokens a language model has read, for `B` texts of one length.
///
/// What texts have in common is kept once. The tokens that were read together at first, mostly a prompt, are one block for
/// all that go on from it; of each later token only a row is kept, and a text is a path through these rows:
/// ```
/// block       token 3   token 4       paths of the texts
/// [0 1 2]     row 0     row 0         0, 0
///             row 1     row 1         0, 1
///                       row 2         1, 2
/// ```
/// So memory grows with the block, and with the texts times what they have each read since.
///
/// A value type: a copy is a fork of the decoding.
public struct KeyValueCache: Sendable {
    /// One layer's keys and values, token by token.
    struct Layer: Sendable {
        var keys: [Float]
        var values: [Float]
    }

    private struct Text: Sendable {
        /// Which block it begins with.
        let block: Int
        /// Its row of each later token.
        var rows: [Int32] = []
    }

    /// Numbers of one token's key, and of its value, in one layer.
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

    /// How many numbers are kept.
    var numberCount: Int {
        (blocks + steps.joined()).reduce(0) { $0 + $1.keys.count + $1.values.count }
    }

    /// Keeps these texts, in this order; a text may appear several times.
    ///
    /// No key or value is copied.
    public func selecting(_ chosen: [Int]) -> KeyValueCache {
        var result = self
        result.texts = chosen.map { texts[$0] }
        return result
    }

    /// Takes what the layers gave for the tokens that were read together, shape [B, tokens, width] each.
    mutating func begin(with layers: [Layer], tokens: Int) {
        precondition(length == 0, "the cache holds \(length) tokens already")
        (blocks, blockLength) = (layers, tokens)
    }

    /// Takes what the layers gave for one more token of each text, shape [B, width] each.
    mutating func append(_ layers: [Layer]) {
        steps.append(layers)
        for index in texts.indices { texts[index].rows.append(Int32(index)) }
    }

    /// One layer's keys and values of some texts with those of one more token, which has a row for every text.
    ///
    /// - Parameters:
    ///   - layer: the layer's index.
    ///   - newest: what it gave for that token, shape [B, width].
    ///   - chosen: which texts.
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
