/// Keys and values of the tokens a language model has read, for `B` texts of one length.
///
/// A value type: a copy is a fork of the decoding.
public struct KeyValueCache: Sendable {
    /// Number of texts, `B`.
    public private(set) var count: Int
    /// Tokens of each text so far.
    public private(set) var length = 0
    /// Numbers of one token's key, and of its value, in one layer.
    let width: Int

    /// Per layer, shape [B, length, width].
    private var layers: [(keys: [Float], values: [Float])]

    init(count: Int, layers: Int, width: Int) {
        self.count = count
        self.width = width
        self.layers = Array(repeating: (keys: [], values: []), count: layers)
    }

    /// Keeps these texts, in this order; a text may appear several times.
    public func selecting(_ texts: [Int]) -> KeyValueCache {
        if texts == Array(0..<count) { return self }
        let block = length * width
        var result = self
        result.count = texts.count
        for layer in layers.indices {
            result.layers[layer] = (
                keys: texts.flatMap { layers[layer].keys[$0 * block..<($0 + 1) * block] },
                values: texts.flatMap { layers[layer].values[$0 * block..<($0 + 1) * block] }
            )
        }
        return result
    }

    /// One layer's keys and values with those of new tokens, shape [B, tokens, width], behind each text.
    func joined(layer: Int, keys: [Float], values: [Float], tokens: Int) -> (keys: [Float], values: [Float]) {
        if length == 0 { return (keys, values) }
        return (interleaved(layers[layer].keys, keys, tokens), interleaved(layers[layer].values, values, tokens))
    }

    /// Takes what `joined` gave for every layer.
    mutating func replace(with layers: [(keys: [Float], values: [Float])], length: Int) {
        self.layers = layers
        self.length = length
    }

    private func interleaved(_ old: [Float], _ new: [Float], _ tokens: Int) -> [Float] {
        let oldBlock = length * width
        let newBlock = tokens * width
        var result: [Float] = []
        result.reserveCapacity(count * (oldBlock + newBlock))
        for text in 0..<count {
            result.append(contentsOf: old[text * oldBlock..<(text + 1) * oldBlock])
            result.append(contentsOf: new[text * newBlock..<(text + 1) * newBlock])
        }
        return result
    }
}
