/// The shape of a Llama-style language model, read and written as Hugging Face's `config.json`.
public struct LanguageModelConfiguration: Sendable, Equatable {
    /// Families that share these blocks: RMSNorm, rotary positions, grouped-query attention and SwiGLU.
    public enum Family: String, Sendable, CaseIterable {
        /// Biases in attention only where `attentionBias` says so.
        case llama
        /// Biases on q, k and v.
        case qwen2
        /// RMSNorm over each head of q and k before positions; biases only where `attentionBias` says so.
        case qwen3

        var architecture: String {
            switch self {
            case .llama: "LlamaForCausalLM"
            case .qwen2: "Qwen2ForCausalLM"
            case .qwen3: "Qwen3ForCausalLM"
            }
        }
    }

    /// The family, which determines biases and norms of attention.
    public var family = Family.llama
    /// Number of tokens in the vocabulary.
    public var vocabularySize: Int
    /// Width of the hidden states, `D`.
    public var width = 128
    /// Number of blocks.
    public var layers = 4
    /// Query heads.
    public var heads = 4
    /// Key and value heads; must divide `heads`.
    public var keyValueHeads = 2
    /// Width of one head; `heads * headWidth` need not be `width`.
    public var headWidth = 32
    /// Inner width of SwiGLU.
    public var feedForwardWidth = 384
    /// Base of the rotary positions.
    public var rotaryBase: Float = 10_000
    /// How rotary positions are slowed down for long texts.
    public var rotaryScaling = RotaryScaling.none
    /// Epsilon of RMSNorm.
    public var normEpsilon: Float = 1e-5
    /// Maximum number of tokens of a text.
    public var maximumLength = 256
    /// Whether the head is tied to the token table.
    public var tiesEmbeddings = true
    /// Whether the projections of q, k, v and of attention's output have biases; false for Qwen2, see `hasInputBiases`.
    public var attentionBias = false
    /// The token that begins a text; nil when the file names none.
    public var beginID: Int32?
    /// Tokens that end a text, as the file lists them; empty when it names none.
    public var endIDs: [Int32] = []

    /// The default shape for a vocabulary of this size.
    public init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

    /// Whether the projections of q, k and v have biases.
    public var hasInputBiases: Bool { family == .qwen2 || attentionBias }
    /// Whether the projection of attention's output has a bias.
    public var hasOutputBias: Bool { family != .qwen2 && attentionBias }
    /// Whether each head of q and k is normalized, by gains of shape [headWidth] that all heads share.
    public var normalizesHeads: Bool { family == .qwen3 }

    /// Throws when a value is outside its range.
    ///
    /// - Throws: `ModelConfigurationError` naming the key of `config.json`.
    public func validate() throws(ModelConfigurationError) {
        try require("vocab_size", vocabularySize, in: ModelRange.tokens)
        try require("hidden_size", width, in: ModelRange.width)
        try require("num_hidden_layers", layers, in: ModelRange.layers)
        try require("num_attention_heads", heads, in: ModelRange.heads)
        try require(
            "num_key_value_heads",
            keyValueHeads,
            keyValueHeads > 0 && heads % keyValueHeads == 0,
            "a divisor of the \(heads) attention heads"
        )
        let (narrowest, widest) = (2, ModelRange.width.upperBound)
        let isWidth = (narrowest...widest).contains(headWidth) && headWidth % 2 == 0
        try require("head_dim", headWidth, isWidth, "an even number from \(narrowest) to \(widest)")
        try require("intermediate_size", feedForwardWidth, in: ModelRange.feedForwardWidth)
        try require("rope_theta", rotaryBase, in: ModelRange.rotaryBase)
        try rotaryScaling.validate(headWidth: headWidth)
        try require("rms_norm_eps", normEpsilon, in: ModelRange.epsilon)
        try require("max_position_embeddings", maximumLength, in: ModelRange.textLength)
        let tokens = Int32(0)..<Int32(vocabularySize)
        for (key, ids) in [("bos_token_id", beginID.map { [$0] } ?? []), ("eos_token_id", endIDs)] {
            for id in ids { try require(key, id, tokens.contains(id), "a token from 0 to \(vocabularySize - 1)") }
        }
    }
}
