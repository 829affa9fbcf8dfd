public import ModelFiles

extension UserAdapter {
    /// How a user's context enters the language model.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// Gated cross-attention before some of the blocks.
        case crossAttention = "cross-attention"
        /// The projected rows stand before the text's embeddings.
        case softPrompt = "soft-prompt"
    }

    /// From which token of a text on its states depend on the context.
    public enum Reach: String, Codable, Sendable, CaseIterable {
        /// From the first one.
        case firstToken = "first-token"
        /// From the last one of the prompt: what stands before it is the same for all users, and computed once.
        case lastPromptToken = "last-prompt-token"
    }

    /// The shape, saved beside the weights.
    ///
    /// A key that earlier versions did not write takes its default, which is what they did.
    public struct Configuration: Codable, Sendable, Equatable {
        /// The Perceiver's shape.
        public var perceiver: Perceiver.Configuration
        /// Width of the language model, `D`.
        public var languageModelWidth: Int
        /// Blocks of the language model.
        public var languageModelLayers: Int
        /// How the context enters.
        public var kind = Kind.crossAttention
        /// From where in a text on the context acts; a soft prompt acts from the first token.
        public var contextFrom = Reach.firstToken
        /// The first block with cross-attention before it.
        public var crossAttentionFrom = 0
        /// Cross-attention is inserted before every n-th block from the first one on.
        public var crossAttentionEvery = 1
        /// Heads of the cross-attention; must divide its inner width.
        public var crossAttentionHeads = 4
        /// Width of its queries, keys and values, `I`; nil takes the language model's.
        public var crossAttentionWidth: Int?
        /// Initial opening of the gates, tanh(a), from 0 to below 1.
        ///
        /// 0 leaves a trained language model unchanged (strategies `enc` and `proj`). If the language model is trained
        /// too, start open: a gate at 0 hardly opens by itself.
        public var gateOpening: Float = 0
        /// Whether the context acts on free text.
        ///
        /// An adapter that has learnt to answer with titles and categories alone would spoil it, so there the language model
        /// answers as it does alone.
        public var actsOnText = true
        /// Factor on the learning rate of the gates.
        public var gateLearningRateScale: Float = 10

        /// The default shape between an encoder and a language model.
        public init(
            encoder: AutoregressiveEncoder.Configuration,
            languageModel: LanguageModelConfiguration
        ) {
            perceiver = Perceiver.Configuration(width: encoder.width)
            languageModelWidth = languageModel.width
            languageModelLayers = languageModel.layers
        }

        /// Reads a configuration of this or an earlier version.
        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            perceiver = try values.decode(Perceiver.Configuration.self, forKey: .perceiver)
            languageModelWidth = try values.decode(Int.self, forKey: .languageModelWidth)
            languageModelLayers = try values.decode(Int.self, forKey: .languageModelLayers)
            kind = try values.decodeIfPresent(Kind.self, forKey: .kind) ?? kind
            contextFrom = try values.decodeIfPresent(Reach.self, forKey: .contextFrom) ?? contextFrom
            crossAttentionFrom =
                try values.decodeIfPresent(Int.self, forKey: .crossAttentionFrom) ?? crossAttentionFrom
            crossAttentionEvery = try values.decode(Int.self, forKey: .crossAttentionEvery)
            crossAttentionHeads = try values.decode(Int.self, forKey: .crossAttentionHeads)
            crossAttentionWidth = try values.decodeIfPresent(Int.self, forKey: .crossAttentionWidth)
            gateOpening = try values.decode(Float.self, forKey: .gateOpening)
            gateLearningRateScale = try values.decode(Float.self, forKey: .gateLearningRateScale)
            actsOnText = try values.decodeIfPresent(Bool.self, forKey: .actsOnText) ?? actsOnText
        }

        /// Width of queries, keys and values of cross-attention, `I`.
        public var innerWidth: Int { crossAttentionWidth ?? languageModelWidth }

        /// The blocks with cross-attention before them, ascending.
        public var crossAttentionBlocks: [Int] {
            guard kind == .crossAttention else { return [] }
            return Array(stride(from: crossAttentionFrom, to: languageModelLayers, by: crossAttentionEvery))
        }

        /// Positions that a context takes in a text.
        public var contextPositions: Int { kind == .softPrompt ? perceiver.latents : 0 }

        /// Throws when a value is outside its range.
        func validate() throws(ModelConfigurationError) {
            let heads = crossAttentionHeads
            try require("adapter.languageModelWidth", languageModelWidth, in: ModelRange.width)
            try require("adapter.languageModelLayers", languageModelLayers, in: ModelRange.layers)
            try require(
                "adapter.crossAttentionFrom",
                crossAttentionFrom,
                (0..<languageModelLayers).contains(crossAttentionFrom),
                "from 0 to below the language model's \(languageModelLayers) blocks"
            )
            try require("adapter.crossAttentionEvery", crossAttentionEvery, in: ModelRange.layers)
            try require("adapter.crossAttentionWidth", innerWidth, in: ModelRange.width)
            try require(
                "adapter.crossAttentionHeads",
                heads,
                heads > 0 && innerWidth % heads == 0,
                "a divisor of the inner width \(innerWidth)"
            )
            try require(
                "adapter.contextFrom",
                contextFrom.rawValue,
                kind == .crossAttention || contextFrom == .firstToken,
                "\(Reach.firstToken.rawValue) for a soft prompt"
            )
            try require("adapter.gateOpening", gateOpening, (0..<1).contains(gateOpening), "from 0 to below 1")
            try require("adapter.gateLearningRateScale", gateLearningRateScale, in: 0...ModelRange.factor.upperBound)
            try perceiver.validate()
        }
    }
}
