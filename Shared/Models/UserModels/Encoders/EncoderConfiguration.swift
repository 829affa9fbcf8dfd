import ModelFiles

/// The shape of a user encoder and its loss, saved beside its weights as `config.json`.
///
/// A missing key takes the default that reproduces the behaviour from before the key existed, so every checkpoint stays
/// readable.
public struct EncoderConfiguration: Sendable, Equatable {
    /// Which encoder it is.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// Reads event by event and predicts each next event: `AutoregressiveEncoder`.
        case autoregressive
        /// A history tower and an item tower that interact only through their outputs: `DualEncoder`.
        case dual
        /// Reads in both directions and predicts masked events: `MaskedEncoder`.
        case masked
    }

    /// The structure of a block.
    public enum Block: String, Codable, Sendable, CaseIterable {
        /// Pre-norm softmax attention, then a feed-forward layer.
        case attention
        /// Gated attention without a softmax, and no feed-forward layer.
        case hstu
    }

    /// How the features of an event are combined into one vector.
    public enum Fusion: String, Codable, Sendable, CaseIterable {
        /// Concatenation followed by a linear projection.
        case concatenate
        /// The sum of vectors of the encoder's width; with the item alone, its vector is used as is.
        case add
    }

    /// Which encoder it is; the key `type`.
    public var kind = Kind.autoregressive
    /// Which features of an event are used.
    public var features = EventFeatures.Configuration()
    /// How the features are combined into one vector.
    public var fusion = Fusion.concatenate
    /// The factor on an event's vector before its position is added.
    public var inputScale: Float = 1
    /// Items of the catalogue, `V`.
    public var itemCount: Int
    /// Categories of the catalogue, `C`.
    public var categoryCount: Int
    /// Width of an event's vector, `d`.
    public var width = 64
    /// The structure of a block.
    public var block = Block.attention
    /// Number of blocks.
    public var layers = 2
    /// Attention heads; must divide `width`.
    public var heads = 2
    /// Maximum number of events of a timeline.
    public var length = 50
    /// Inner width of a feed-forward layer; not used by `hstu`.
    public var feedForwardWidth = 128
    /// Number of time bias buckets, in `hstu` only; 0 disables the time bias.
    public var timeBiasBuckets = 0
    /// Dropout probability in training, after fusion and in each block.
    public var dropout: Float = 0.2
    /// Fraction of items that training replaces with an unknown item's bucket.
    public var hiddenItemShare: Float = 0.02
    /// Fraction of events that training masks, in `masked` only.
    public var maskedShare: Float = 0.2
    /// Fraction of windows in which training masks only the last event, as in prediction; in `masked` only.
    public var lastMaskedShare: Float = 0.1
    /// How items are scored.
    public var head = ItemHead.Configuration()
    /// How scores are learnt.
    public var loss = ItemLoss()
    /// Weight of the next event's categories in the loss; 0 disables that head.
    public var categoryLossWeight: Float = 0.1
    /// Weight of the next event's rating in the loss; 0 disables that head.
    public var ratingLossWeight: Float = 0

    /// The default shape for a catalogue of this size.
    public init(_ kind: Kind = .autoregressive, itemCount: Int, categoryCount: Int) {
        self.kind = kind
        self.itemCount = itemCount
        self.categoryCount = categoryCount
        guard kind == .dual else { return }
        head = ItemHead.Configuration(kind: .normalized, temperature: 0.05)
        loss.kind = .sampled
        loss.negatives = .batch
        categoryLossWeight = 0
    }

    /// Throws when a value is outside its range.
    func validate() throws(ModelConfigurationError) {
        func check(_ key: String, _ value: some CustomStringConvertible, _ condition: Bool, _ expected: String)
            throws(ModelConfigurationError)
        { try require("encoder.\(key)", value, condition, expected) }
        func checkSize(_ key: String, _ size: Int, _ range: ClosedRange<Int>) throws(ModelConfigurationError) {
            try require("encoder.\(key)", size, in: range)
        }
        func checkShare(_ key: String, _ share: Float) throws(ModelConfigurationError) {
            try check(key, share, (0..<1).contains(share), "from 0 to below 1")
        }
        func checkWeight(_ key: String, _ weight: Float) throws(ModelConfigurationError) {
            try check(key, weight, weight >= 0 && weight.isFinite, "at least 0")
            try check(key, weight, kind != .dual || weight == 0, "0, because a dual encoder predicts items alone")
        }
        try checkSize("itemCount", itemCount, ModelRange.items)
        try checkSize("categoryCount", categoryCount, ModelRange.categories)
        let (narrowest, widest) = (8, ModelRange.width.upperBound)
        let isWidth = (narrowest...widest).contains(width) && width % 4 == 0
        try check("width", width, isWidth, "a multiple of 4 from \(narrowest) to \(widest)")
        try check("heads", heads, heads > 0 && width % heads == 0, "a divisor of the width \(width)")
        try checkSize("layers", layers, ModelRange.layers)
        try checkSize("length", length, ModelRange.events)
        try checkSize("feedForwardWidth", feedForwardWidth, ModelRange.feedForwardWidth)
        try require("encoder.inputScale", inputScale, in: ModelRange.factor)
        try checkSize("timeBiasBuckets", timeBiasBuckets, 0...512)
        let hasBias = block == .hstu || timeBiasBuckets == 0
        try check("timeBiasBuckets", timeBiasBuckets, hasBias, "0, because only hstu blocks have a time bias")
        try checkShare("dropout", dropout)
        try checkShare("hiddenItemShare", hiddenItemShare)
        try check("maskedShare", maskedShare, maskedShare > 0 && maskedShare < 1, "between 0 and 1")
        try check("lastMaskedShare", lastMaskedShare, (0...1).contains(lastMaskedShare), "from 0 to 1")
        try checkWeight("categoryLossWeight", categoryLossWeight)
        try checkWeight("ratingLossWeight", ratingLossWeight)
        try features.validate()
        try head.validate()
        try loss.validate()
    }

    /// Throws unless the encoder is of the expected kind.
    func requireKind(_ expected: Kind) throws(ModelConfigurationError) {
        try require(
            "encoder.type",
            kind.rawValue,
            kind == expected,
            "\(expected.rawValue); make one with `trainer train encoder --encoder \(expected.rawValue)`"
        )
    }
}

extension EncoderConfiguration: Codable {
    private enum CodingKeys: String, CodingKey {
        case kind = "type"
        case features, fusion, inputScale, itemCount, categoryCount, width, block, layers, heads, length
        case feedForwardWidth, timeBiasBuckets, dropout, hiddenItemShare, maskedShare, lastMaskedShare, head, loss
        case categoryLossWeight, ratingLossWeight
    }

    /// Decodes a configuration; missing keys take their defaults.
    ///
    /// - Throws: `ModelConfigurationError` for an unknown name, otherwise `DecodingError` when the size of the
    ///   catalogue is missing or a value has the wrong type.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func read<Value: Decodable>(_ value: inout Value, _ key: CodingKeys) throws {
            value = try values.decodeIfPresent(Value.self, forKey: key) ?? value
        }
        func readName<Value>(_ value: inout Value, _ key: CodingKeys) throws
        where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
            guard let text = try values.decodeIfPresent(String.self, forKey: key) else { return }
            let names = Value.allCases.map(\.rawValue)
            try require("encoder.\(key.stringValue)", text, names.contains(text), names.joined(separator: " or "))
            value = Value(rawValue: text) ?? value
        }
        itemCount = try values.decode(Int.self, forKey: .itemCount)
        categoryCount = try values.decode(Int.self, forKey: .categoryCount)
        try readName(&kind, .kind)
        try read(&features, .features)
        try readName(&fusion, .fusion)
        try read(&inputScale, .inputScale)
        try read(&width, .width)
        try readName(&block, .block)
        try read(&layers, .layers)
        try read(&heads, .heads)
        try read(&length, .length)
        try read(&feedForwardWidth, .feedForwardWidth)
        try read(&timeBiasBuckets, .timeBiasBuckets)
        try read(&dropout, .dropout)
        try read(&hiddenItemShare, .hiddenItemShare)
        try read(&maskedShare, .maskedShare)
        try read(&lastMaskedShare, .lastMaskedShare)
        try read(&head, .head)
        try read(&loss, .loss)
        try read(&categoryLossWeight, .categoryLossWeight)
        try read(&ratingLossWeight, .ratingLossWeight)
    }
}

extension EventFeatures.Configuration {
    /// Throws when a value is outside its range, or no feature of an event would be used.
    func validate() throws(ModelConfigurationError) {
        let isUsed = usesItem || usesCategories || usesRating || usesTimeGap
        try require("encoder.features", "none used", isUsed, "at least one feature in use")
        try require("encoder.features.unknownItemBuckets", unknownItemBuckets, in: ModelRange.buckets)
        try require("encoder.features.timeGapBuckets", timeGapBuckets, in: 2...1_000)
        try require("encoder.features.ratingStep", ratingStep, in: ModelRange.factor)
        let steps = ratingMaximum / ratingStep
        let isScale = steps >= 0 && steps <= 10_000
        try require("encoder.features.ratingMaximum", ratingMaximum, isScale, "from 0 to 10000 steps of \(ratingStep)")
    }
}
