public import ModelFiles
public import NeuralNetwork
package import Tensors

/// What is added to the weight of one linear layer: `factor * up * down`.
struct LowRankUpdate: Sendable {
    /// A, shape [r, in].
    let down: Parameter
    /// B, shape [out, r].
    let up: Parameter
    let factor: Float
}

extension LanguageModel {
    /// The linear layers of a block, by their names in Hugging Face's files.
    public enum LinearLayer: String, Codable, Sendable, CaseIterable {
        /// Queries of the attention.
        case query = "q_proj"
        /// Keys of the attention.
        case key = "k_proj"
        /// Values of the attention.
        case value = "v_proj"
        /// What follows the attention.
        case output = "o_proj"
        /// The gate of SwiGLU.
        case gate = "gate_proj"
        /// What SwiGLU's gate multiplies.
        case up = "up_proj"
        /// What follows SwiGLU.
        case down = "down_proj"

        /// The layer's name in the block of this index.
        func name(block: Int) -> String {
            switch self {
            case .query, .key, .value, .output: "model.layers.\(block).self_attn.\(rawValue)"
            case .gate, .up, .down: "model.layers.\(block).mlp.\(rawValue)"
            }
        }

        /// The widths of what it reads and of what it gives.
        func widths(_ shape: LanguageModelConfiguration) -> (input: Int, output: Int) {
            let queryWidth = shape.heads * shape.headWidth
            return switch self {
            case .query: (shape.width, queryWidth)
            case .key, .value: (shape.width, shape.keyValueHeads * shape.headWidth)
            case .output: (queryWidth, shape.width)
            case .gate, .up: (shape.width, shape.feedForwardWidth)
            case .down: (shape.feedForwardWidth, shape.width)
            }
        }

        var place: WritableKeyPath<Block, Linear> {
            switch self {
            case .query: \.query
            case .key: \.key
            case .value: \.value
            case .output: \.output
            case .gate: \.gate
            case .up: \.up
            case .down: \.down
            }
        }
    }
}

/// Low-rank updates of a frozen language model's linear layers (LoRA): each weight W becomes `W + alpha / r * B A`.
///
/// B begins at 0, so that a new adapter leaves the model's logits as they are. Names of weights are those of PEFT's files,
/// which `save(to:base:)` writes.
/// - Source: LoRA, arXiv 2106.09685; huggingface/peft, `tuners/lora`.
public final class LowRankAdapter: Module, Sendable {
    /// The size of the updates, and which layers have one.
    public struct Configuration: Codable, Sendable, Equatable {
        /// The rank of an update, r.
        public var rank = 8
        /// An update counts `alpha / rank`.
        public var alpha: Float = 16
        /// The layers of each block that have an update.
        ///
        /// All by default: with fewer LoRA stays behind full tuning (QLoRA, arXiv 2305.14314, part 4), and rank 8 on all of
        /// them is 1.8 % of a model of SmolLM2's size.
        public var layers = LanguageModel.LinearLayer.allCases

        /// The defaults.
        public init() {}

        /// The factor of an update.
        public var factor: Float { alpha / Float(rank) }

        /// Checks ranges.
        ///
        /// - Throws: `ModelConfigurationError` naming the value that is out of range.
        public func validate() throws(ModelConfigurationError) {
            try require("rank", rank, in: 1...1_024)
            try require("alpha", alpha, in: ModelRange.factor)
            let names = layers.map(\.rawValue)
            let isSet = !names.isEmpty && Set(names).count == names.count
            try require("layers", "\(names)", isSet, "at least one layer, each once")
        }
    }

    /// The size of the updates, and which layers have one.
    public let configuration: Configuration
    /// The shape of the language model that it was made for.
    public let base: LanguageModelConfiguration

    /// The update of each layer in `configuration.layers`, for each block.
    private let updates: [[LowRankUpdate]]

    /// A and B of each layer, block by block.
    public var parameters: [Parameter] { parameters(ofBlocks: updates.indices) }

    /// A and B of each layer of some blocks.
    func parameters(ofBlocks range: Range<Int>) -> [Parameter] {
        updates[range].joined().flatMap { [$0.down, $0.up] }
    }

    /// Makes an adapter whose weights come from `weights`.
    ///
    /// A is drawn with standard deviation 1 / sqrt(3 * in), as PEFT's is; B is 0.
    package init(
        configuration: Configuration,
        base: LanguageModelConfiguration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        try base.validate()
        self.configuration = configuration
        self.base = base
        var updates: [[LowRankUpdate]] = []
        for block in 0..<base.layers {
            updates.append([])
            for layer in configuration.layers {
                let name = Self.prefix + layer.name(block: block)
                let (input, output) = layer.widths(base)
                let deviation = 1 / (3 * Float(input)).squareRoot()
                updates[block].append(
                    LowRankUpdate(
                        down: Filling.normal(deviation).parameter(
                            "\(name).lora_A.weight",
                            [configuration.rank, input],
                            decay: .always,
                            &weights
                        ),
                        up: Filling.constant(0).parameter(
                            "\(name).lora_B.weight",
                            [output, configuration.rank],
                            decay: .always,
                            &weights
                        ),
                        factor: configuration.factor
                    )
                )
            }
        }
        self.updates = updates
    }

    /// Makes a new adapter for a language model.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    package convenience init(
        configuration: Configuration,
        base: LanguageModelConfiguration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        var drawn = DrawnWeights(generator)
        defer { generator = drawn.generator }
        try self.init(configuration: configuration, base: base, weights: &drawn)
    }

    /// Makes an adapter from the weights in a file, whose names and shapes are checked first.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the weight that
    ///   is missing, unexpected, of another shape (that of another base) or not finite.
    package convenience init(
        configuration: Configuration,
        base: LanguageModelConfiguration,
        weights file: SafeTensors
    ) throws {
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in
            _ = try LowRankAdapter(configuration: configuration, base: base, weights: &declared)
        }
        try self.init(configuration: configuration, base: base, weights: &stored)
        try stored.finish()
    }

    /// Precedes the names of a model's layers in PEFT's files.
    static let prefix = "base_model.model."

    /// The blocks of a model, each layer that has an update changed by it.
    fileprivate func changed(
        _ blocks: [LanguageModel.Block],
        _ change: (inout Linear, LowRankUpdate) -> Void
    ) -> [LanguageModel.Block] {
        zip(blocks, updates).map { block, updates in
            var block = block
            for (layer, update) in zip(configuration.layers, updates) { change(&block[keyPath: layer.place], update) }
            return block
        }
    }

    /// Checks that it was made for a model of this shape.
    fileprivate func requireFit(_ shape: LanguageModelConfiguration) throws(ModelConfigurationError) {
        try require("layers of the LoRA's base", base.layers, base.layers == shape.layers, "\(shape.layers)")
        for layer in configuration.layers {
            let (own, found) = (layer.widths(base), layer.widths(shape))
            try require(
                "widths of the LoRA's base",
                "\(own.input) to \(own.output) in \(layer.rawValue)",
                own == found,
                "the language model's \(found.input) to \(found.output)"
            )
        }
    }
}

extension LanguageModel {
    /// The same model with updates of its linear layers, which replace those it had.
    ///
    /// The two share their weights. Which of them are trained is set at the parameters: `isTrainable`.
    ///
    /// - Throws: `ModelConfigurationError` when the adapter was made for a model of another shape.
    public func adding(_ adapter: LowRankAdapter) throws(ModelConfigurationError) -> LanguageModel {
        try adapter.requireFit(configuration)
        let plain = blocks.map { block in
            var block = block
            for layer in LinearLayer.allCases { block[keyPath: layer.place].update = nil }
            return block
        }
        return LanguageModel(self, blocks: adapter.changed(plain) { $0.update = $1 }, lowRank: adapter)
    }

    /// A model without low-rank updates that computes the same: they are added to copies of the weights.
    ///
    /// - Returns: a model that shares all other weights with this one; this one itself where there are no updates.
    public func merged() -> LanguageModel {
        guard let lowRank else { return self }
        let pool = BufferPool()
        let blocks = lowRank.changed(blocks) { linear, update in
            let sum = linear.weight.value.copy()
            let up = Elementwise.scale(update.up.value, update.factor, pool: pool)
            // The product B A, in Float32 whatever the training's precision is.
            Tensors.Linear.inputGradient(of: up, weight: update.down.value, into: sum, accumulate: true, pool: pool)
            linear = Linear(weight: Parameter(linear.weight.name, sum, decay: linear.weight.decay), bias: linear.bias)
        }
        return LanguageModel(self, blocks: blocks, lowRank: nil)
    }
}
