import Catalogues
public import ServiceRuntime
public import UserModels

extension EncoderConfiguration.Kind: ConfigurationValue {}
extension EncoderConfiguration.Block: ConfigurationValue {}
extension EncoderConfiguration.Fusion: ConfigurationValue {}
extension ItemHead.Configuration.Kind: ConfigurationValue {}
extension ItemLoss.Kind: ConfigurationValue {}
extension ItemLoss.Negatives: ConfigurationValue {}

/// Which encoder is trained, how it scores items and what it learns from; the default of a nil value depends on the
/// rest.
struct EncoderSettings: Sendable {
    var kind = EncoderConfiguration.Kind.autoregressive
    var block = EncoderConfiguration.Block.attention
    var fusion: EncoderConfiguration.Fusion?
    var inputScale: Float = 1
    var feedForwardWidth: Int?
    var hasTimeBias = false
    var hiddenItemShare: Float?
    var maskedShare: Float?
    var lastMaskedShare: Float?
    var head: ItemHead.Configuration.Kind?
    var temperature: Float?
    var loss: ItemLoss.Kind?
    var negatives: ItemLoss.Negatives?
    var negativeCount: Int?
    var correctsSampling = true
    var categoryLossWeight: Float?
    var ratingLossWeight: Float = 0

    /// Two buckets per doubling of seconds, up to the range of an Int32.
    private static let timeBuckets = 64

    /// The encoder's configuration for a catalogue, without its shape.
    ///
    /// With the item as the only feature there is nothing to fuse, and the categories of the next event are not learned
    /// either.
    ///
    /// - Parameters:
    ///   - catalogue: the items.
    ///   - features: the names of the event features to read.
    ///   - width: the size of an event's vector.
    /// - Returns: a configuration whose layers, heads, length and dropout are still the defaults.
    func configuration(_ catalogue: Catalogue, features: Set<String>, width: Int) -> EncoderConfiguration {
        var result = EncoderConfiguration(
            kind,
            itemCount: catalogue.count,
            categoryCount: catalogue.categories.count
        )
        result.features.usesItem = features.contains("item")
        result.features.usesCategories = features.contains("categories")
        result.features.usesRating = features.contains("rating")
        result.features.usesTimeGap = features.contains("time-gap")
        result.width = width
        result.fusion = fusion ?? (features == ["item"] ? .add : .concatenate)
        result.inputScale = inputScale
        result.block = block
        result.timeBiasBuckets = hasTimeBias ? Self.timeBuckets : 0
        result.feedForwardWidth = feedForwardWidth ?? 4 * width
        result.hiddenItemShare = hiddenItemShare ?? result.hiddenItemShare
        result.maskedShare = maskedShare ?? result.maskedShare
        result.lastMaskedShare = lastMaskedShare ?? result.lastMaskedShare
        result.head.kind = head ?? result.head.kind
        result.head.temperature = temperature ?? (result.head.kind == .normalized ? 0.05 : 1)
        result.loss.kind = loss ?? result.loss.kind
        result.loss.negatives = negatives ?? result.loss.negatives
        result.loss.negativeCount = negativeCount ?? result.loss.negativeCount
        result.loss.correctsSampling = correctsSampling
        result.categoryLossWeight =
            categoryLossWeight ?? (result.features.usesCategories ? result.categoryLossWeight : 0)
        result.ratingLossWeight = ratingLossWeight
        return result
    }
}

// MARK: - Keys

extension EncoderSettings {
    private static let encoder = ConfigurationKey<EncoderConfiguration.Kind>(
        "encoder",
        default: .autoregressive,
        help: "autoregressive (each next event), dual (a tower for the history, one for the item) or masked (BERT4Rec)"
    )
    private static let blockKey = ConfigurationKey<EncoderConfiguration.Block>(
        "block",
        default: .attention,
        help: "attention (SASRec, pre-norm) or hstu (gated, without a softmax)"
    )
    private static let fusionKey = ConfigurationKey<EncoderConfiguration.Fusion>(
        "fusion",
        help: "How features become one vector: concatenate (and a product) or add; add where only the item is read"
    )
    private static let inputScaleKey = ConfigurationKey<Double>(
        "input-scale",
        default: 1,
        in: 0.001...1_000,
        help: "What an event's vector is multiplied by before its position is added"
    )
    private static let feedForward = ConfigurationKey<Int>(
        "feed-forward-width",
        in: 1...65_536,
        help: "Width within a feed-forward layer; four times the width by default"
    )
    private static let timeBias = ConfigurationKey<Bool>(
        "time-bias",
        default: false,
        help: "Learn a bias for the time between events, in hstu blocks; for data whose times are real"
    )
    private static let hiddenItems = ConfigurationKey<Double>(
        "hidden-items",
        in: 0...0.9,
        help: "Share of items that training hides behind a bucket of unknown ones; 0.02 by default"
    )
    private static let masked = ConfigurationKey<Double>(
        "masked-share",
        in: 0.01...0.99,
        help: "Share of events that are masked, with --encoder masked; 0.2 by default"
    )
    private static let lastMasked = ConfigurationKey<Double>(
        "last-masked-share",
        in: 0...1,
        help: "Share of windows of which the last event alone is masked, with --encoder masked; 0.1 by default"
    )
    private static let headKey = ConfigurationKey<ItemHead.Configuration.Kind>(
        "head",
        help: "dot (product with the item's vector) or normalized (cosine); normalized for --encoder dual, else dot"
    )
    private static let temperatureKey = ConfigurationKey<Double>(
        "temperature",
        in: 0.001...1_000,
        help: "What scores are divided by; 0.05 with --head normalized, else 1"
    )
    private static let lossKey = ConfigurationKey<ItemLoss.Kind>(
        "loss",
        help: "full (softmax over all items) or sampled (over a sample); sampled for --encoder dual, else full"
    )
    private static let negativesKey = ConfigurationKey<Int>(
        "negatives",
        in: 1...1_000_000,
        help: "How many items a step's thread draws, with --loss sampled; 1024 by default"
    )
    private static let negativesFrom = ConfigurationKey<ItemLoss.Negatives>(
        "negatives-from",
        help: "Where they come from: uniform, log-uniform, popularity, or batch (the other right items); "
            + "batch for --encoder dual, else log-uniform"
    )
    private static let correction = ConfigurationKey<Bool>(
        "log-q",
        default: true,
        help: "With --loss sampled: lower a drawn item's score by the logarithm of how often it is drawn"
    )
    private static let categoryLoss = ConfigurationKey<Double>(
        "category-loss",
        in: 0...100,
        help: "Weight of the next event's categories in the loss; 0.1 where categories are read, else 0"
    )
    private static let ratingLoss = ConfigurationKey<Double>(
        "rating-loss",
        default: 0,
        in: 0...100,
        help: "Weight of the next event's rating in the loss"
    )

    /// The keys of these settings.
    static let keys: [any AnyConfigurationKey] = [
        encoder, blockKey, fusionKey, inputScaleKey, feedForward, timeBias, hiddenItems, masked, lastMasked, headKey,
        temperatureKey, lossKey, negativesKey, negativesFrom, correction, categoryLoss, ratingLoss,
    ]

    /// Reads the settings.
    ///
    /// - Throws: `ConfigurationError` for an invalid value, and for one that the chosen encoder or loss would ignore.
    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        func number(_ key: ConfigurationKey<Double>) throws(ConfigurationError) -> Float? {
            try reader.optionalValue(of: key).map(Float.init)
        }
        kind = try reader.value(of: Self.encoder)
        block = try reader.value(of: Self.blockKey)
        fusion = try reader.optionalValue(of: Self.fusionKey)
        inputScale = Float(try reader.value(of: Self.inputScaleKey))
        feedForwardWidth = try reader.optionalValue(of: Self.feedForward)
        hasTimeBias = try reader.value(of: Self.timeBias)
        hiddenItemShare = try number(Self.hiddenItems)
        maskedShare = try number(Self.masked)
        lastMaskedShare = try number(Self.lastMasked)
        head = try reader.optionalValue(of: Self.headKey)
        temperature = try number(Self.temperatureKey)
        loss = try reader.optionalValue(of: Self.lossKey)
        negatives = try reader.optionalValue(of: Self.negativesFrom)
        negativeCount = try reader.optionalValue(of: Self.negativesKey)
        correctsSampling = try reader.value(of: Self.correction)
        categoryLossWeight = try number(Self.categoryLoss)
        ratingLossWeight = Float(try reader.value(of: Self.ratingLoss))
        try checkThatAllIsUsed()
    }

    private func checkThatAllIsUsed() throws(ConfigurationError) {
        func check(_ key: String, _ isGiven: Bool, _ isUsed: Bool, _ needed: String) throws(ConfigurationError) {
            guard isGiven && !isUsed else { return }
            throw .conflict("--\(key) changes nothing without \(needed): leave it out, or add that")
        }
        let isMasked = kind == .masked
        let isSampled = (loss ?? (kind == .dual ? .sampled : .full)) == .sampled
        let draws = isSampled && (negatives ?? (kind == .dual ? .batch : .logUniform)) != .batch
        try check("masked-share", maskedShare != nil, isMasked, "--encoder masked")
        try check("last-masked-share", lastMaskedShare != nil, isMasked, "--encoder masked")
        try check("time-bias", hasTimeBias, block == .hstu, "--block hstu")
        try check(
            "feed-forward-width",
            feedForwardWidth != nil,
            block == .attention || kind == .dual,
            "--block attention"
        )
        try check("negatives-from", negatives != nil, isSampled, "--loss sampled")
        try check("no-log-q", !correctsSampling, isSampled, "--loss sampled")
        try check("negatives", negativeCount != nil, draws, "--loss sampled and a --negatives-from other than batch")
    }
}
