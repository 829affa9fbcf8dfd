import Foundation

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

    /// The family, which decides about biases.
    public var family = Family.llama
    /// Tokens of the vocabulary.
    public var vocabularySize: Int
    /// Width of the hidden states, `D`.
    public var width = 128
    /// Number of blocks.
    public var layers = 4
    /// Query heads.
    public var heads = 4
    /// Key and value heads; they divide `heads`.
    public var keyValueHeads = 2
    /// Width of one head.
    public var headWidth = 32
    /// Width inside SwiGLU.
    public var feedForwardWidth = 384
    /// Base of the rotary positions.
    public var rotaryBase: Float = 10_000
    /// Epsilon of RMSNorm.
    public var normEpsilon: Float = 1e-5
    /// The most tokens of a text.
    public var maximumLength = 256
    /// Whether the head's weights are the token table's.
    public var tiesEmbeddings = true

    /// The default shape for a vocabulary of this size.
    public init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

    /// Throws when a value is outside its range.
    func validate() throws(ModelConfigurationError) {
        try require("vocab_size", vocabularySize, vocabularySize > 0, "at least 1")
        try require("hidden_size", width, width > 0, "at least 1")
        try require("num_hidden_layers", layers, layers > 0, "at least 1")
        let heads = heads
        try require("num_attention_heads", heads, heads > 0, "at least 1")
        try require(
            "num_key_value_heads",
            keyValueHeads,
            keyValueHeads > 0 && heads % keyValueHeads == 0,
            "a divisor of the \(heads) attention heads"
        )
        try require("head_dim", headWidth, headWidth > 0 && headWidth % 2 == 0, "an even number, at least 2")
        try require("intermediate_size", feedForwardWidth, feedForwardWidth > 0, "at least 1")
        try require("max_position_embeddings", maximumLength, maximumLength > 0, "at least 1")
    }
}

extension LanguageModelConfiguration: Codable {
    private enum Key: String, CodingKey {
        case architectures
        case family = "model_type"
        case vocabularySize = "vocab_size"
        case width = "hidden_size"
        case layers = "num_hidden_layers"
        case heads = "num_attention_heads"
        case keyValueHeads = "num_key_value_heads"
        case headWidth = "head_dim"
        case feedForwardWidth = "intermediate_size"
        case rotaryBase = "rope_theta"
        case rotaryScaling = "rope_scaling"
        case normEpsilon = "rms_norm_eps"
        case maximumLength = "max_position_embeddings"
        case tiesEmbeddings = "tie_word_embeddings"
        case activation = "hidden_act"
        case attentionBias = "attention_bias"
        case feedForwardBias = "mlp_bias"
        case usesSlidingWindow = "use_sliding_window"
        case storedType = "torch_dtype"
    }

    private struct Anything: Decodable {}

    /// Reads `config.json`.
    ///
    /// - Throws: `ModelConfigurationError` naming a key whose value is not supported, or `DecodingError`.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        let type = try values.decode(String.self, forKey: .family)
        guard let family = Family(rawValue: type) else {
            throw ModelConfigurationError(key: "model_type", value: type, expected: "llama or qwen2")
        }
        self.init(vocabularySize: try values.decode(Int.self, forKey: .vocabularySize))
        self.family = family
        width = try values.decode(Int.self, forKey: .width)
        layers = try values.decode(Int.self, forKey: .layers)
        heads = try values.decode(Int.self, forKey: .heads)
        try require("num_attention_heads", heads, heads > 0, "at least 1")
        keyValueHeads = try values.decodeIfPresent(Int.self, forKey: .keyValueHeads) ?? heads
        headWidth = try values.decodeIfPresent(Int.self, forKey: .headWidth) ?? width / heads
        feedForwardWidth = try values.decode(Int.self, forKey: .feedForwardWidth)
        rotaryBase = try values.decodeIfPresent(Float.self, forKey: .rotaryBase) ?? 10_000
        normEpsilon = try values.decodeIfPresent(Float.self, forKey: .normEpsilon) ?? 1e-6
        maximumLength = try values.decodeIfPresent(Int.self, forKey: .maximumLength) ?? 2048
        tiesEmbeddings = try values.decodeIfPresent(Bool.self, forKey: .tiesEmbeddings) ?? false
        let activation = try values.decodeIfPresent(String.self, forKey: .activation) ?? "silu"
        try require("hidden_act", activation, activation == "silu", "silu")
        let scaled = try values.decodeIfPresent(Anything.self, forKey: .rotaryScaling) != nil
        try require("rope_scaling", "set", !scaled, "null: scaled rotary positions are not supported")
        let attentionBias = try values.decodeIfPresent(Bool.self, forKey: .attentionBias) ?? false
        try require("attention_bias", attentionBias, family == .qwen2 || !attentionBias, "false for llama")
        let feedForwardBias = try values.decodeIfPresent(Bool.self, forKey: .feedForwardBias) ?? false
        try require("mlp_bias", feedForwardBias, !feedForwardBias, "false")
        let slides = try values.decodeIfPresent(Bool.self, forKey: .usesSlidingWindow) ?? false
        try require("use_sliding_window", slides, !slides, "false")
        try validate()
    }

    /// Writes `config.json` as Hugging Face's `transformers` reads it.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode([family.architecture], forKey: .architectures)
        try values.encode(family.rawValue, forKey: .family)
        try values.encode(vocabularySize, forKey: .vocabularySize)
        try values.encode(width, forKey: .width)
        try values.encode(layers, forKey: .layers)
        try values.encode(heads, forKey: .heads)
        try values.encode(keyValueHeads, forKey: .keyValueHeads)
        try values.encode(headWidth, forKey: .headWidth)
        try values.encode(feedForwardWidth, forKey: .feedForwardWidth)
        try values.encode(rotaryBase, forKey: .rotaryBase)
        try values.encodeNil(forKey: .rotaryScaling)
        try values.encode(normEpsilon, forKey: .normEpsilon)
        try values.encode(maximumLength, forKey: .maximumLength)
        try values.encode(tiesEmbeddings, forKey: .tiesEmbeddings)
        try values.encode("silu", forKey: .activation)
        try values.encode("float32", forKey: .storedType)
    }
}
