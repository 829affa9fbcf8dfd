/// The shape of a Llama-style language model, read and written as Hugging Face's `config.json`.
public struct LanguageModelConfiguration: Sendable, Equatable {
    /// Families that share this model's blocks.
    public enum Family: String, Sendable {
        /// No biases.
        case llama
        /// Biases on q, k and v.
        case qwen2

        var architecture: String { self == .llama ? "LlamaForCausalLM" : "Qwen2ForCausalLM" }
    }

    /// The family, which determines the biases.
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
    /// Width of one head.
    public var headWidth = 32
    /// Inner width of SwiGLU.
    public var feedForwardWidth = 384
    /// Base of the rotary positions.
    public var rotaryBase: Float = 10_000
    /// Epsilon of RMSNorm.
    public var normEpsilon: Float = 1e-5
    /// Maximum number of tokens of a text.
    public var maximumLength = 256
    /// Whether the head is tied to the token table.
    public var tiesEmbeddings = true

    /// The default shape for a vocabulary of this size.
    public init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

    /// Throws when a value is outside its range.
    func validate() throws(ModelConfigurationError) {
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
        try require("rms_norm_eps", normEpsilon, in: ModelRange.epsilon)
        try require("max_position_embeddings", maximumLength, in: ModelRange.textLength)
    }
}
