import LanguageEngine
import ModelFiles
import RandomNumbers

/// A small language model with random weights, as numbers by name.
struct TinyModel {
    var configuration: LanguageModelConfiguration
    var values: [String: [Float]] = [:]
    var adapter: AdapterWeights.Configuration?
    var adapterValues: [String: [Float]] = [:]

    /// Draws every weight from a seed.
    init(
        _ family: LanguageModelConfiguration.Family = .llama,
        isTied: Bool = true,
        keyValueHeads: Int = 2,
        layers: Int = 3,
        vocabulary: Int = 67,
        attentionBias: Bool = false,
        scaling: RotaryScaling = .none,
        seed: UInt64 = 1
    ) {
        configuration = LanguageModelConfiguration(vocabularySize: vocabulary)
        configuration.family = family
        configuration.width = 64
        configuration.layers = layers
        configuration.heads = 4
        configuration.keyValueHeads = keyValueHeads
        configuration.headWidth = 16
        configuration.feedForwardWidth = 96
        configuration.tiesEmbeddings = isTied
        configuration.attentionBias = attentionBias
        configuration.rotaryScaling = scaling
        configuration.maximumLength = 512
        var random = SeededRandom(seed: seed)
        for (name, shape) in configuration.weightShapes {
            let isNorm = name.hasSuffix("norm.weight")
            let scale: Float = isNorm || name.hasSuffix("bias") ? 0.3 : 1.6 / Float(shape[shape.count - 1]).squareRoot()
            values[name] = Self.draw(shape, scale, around: isNorm ? 1 : 0, &random)
        }
    }

    /// Adds cross-attention with these gates before every n-th block from one on.
    func withAdapter(
        first: Int = 0,
        every: Int = 1,
        heads: Int = 2,
        innerWidth: Int = 32,
        gate: Float = 0.7,
        seed: UInt64 = 9
    ) -> TinyModel {
        var model = self
        let D = configuration.width
        let shape = AdapterWeights.Configuration(
            width: D,
            layers: configuration.layers,
            first: first,
            every: every,
            heads: heads,
            innerWidth: innerWidth
        )
        model.adapter = shape
        var random = SeededRandom(seed: seed)
        for block in shape.blocks {
            let name = "cross_attention.\(block)"
            model.adapterValues["\(name).norm.weight"] = Self.draw([D], 0.3, around: 1, &random)
            for part in ["query", "key", "value"] {
                model.adapterValues["\(name).\(part).weight"] = Self.draw([innerWidth, D], 0.25, around: 0, &random)
            }
            model.adapterValues["\(name).output.weight"] = Self.draw([D, innerWidth], 0.3, around: 0, &random)
            model.adapterValues["\(name).gate"] = [gate]
        }
        return model
    }

    /// The weights, packed.
    func weights(_ format: WeightFormat = .float32) throws -> LanguageModelWeights {
        try LanguageModelWeights(configuration: configuration, format: format, threads: 2) { values[$0] }
    }

    /// The adapter, packed; nil without one.
    func adapterWeights() throws -> AdapterWeights? {
        guard let adapter else { return nil }
        return try AdapterWeights(configuration: adapter) { adapterValues[$0] }
    }

    /// An engine with small bounds.
    func engine(
        _ format: WeightFormat = .float32,
        _ change: (inout EngineConfiguration) -> Void = { _ in }
    ) throws -> Engine {
        var settings = EngineConfiguration()
        settings.pagePositions = 16
        settings.pageCount = 256
        settings.cacheFormat = .float32
        settings.positionsPerStep = 64
        change(&settings)
        return try Engine(weights: weights(format), adapter: adapterWeights(), configuration: settings)
    }

    /// Random tokens of the vocabulary.
    func tokens(_ count: Int, seed: UInt64) -> [Int32] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in Int32(random.below(configuration.vocabularySize)) }
    }

    /// Random rows of the model's width.
    func rows(_ count: Int, seed: UInt64) -> [Float] {
        var random = SeededRandom(seed: seed)
        return Self.draw([count, configuration.width], 1, around: 0, &random)
    }

    private static func draw(
        _ shape: [Int],
        _ scale: Float,
        around mean: Float,
        _ random: inout SeededRandom
    ) -> [Float] {
        (0..<shape.reduce(1, *)).map { _ in mean + scale * random.normal() }
    }
}
