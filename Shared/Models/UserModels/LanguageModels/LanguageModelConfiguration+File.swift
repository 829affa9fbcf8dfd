/// Hugging Face's `config.json`, as `transformers` 4 and 5 write it.
///
/// Nothing that affects results is guessed: a missing required key is an error, and so is one that asks for an
/// unsupported feature. Keys without effect here, such as `use_cache` or `bos_token_id`, are ignored.
/// - Source: huggingface/transformers, `models/llama/configuration_llama.py`, `models/qwen2/configuration_qwen2.py` and
///   `modeling_rope_utils.py`.
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
        case rotaryParameters = "rope_parameters"
        case normEpsilon = "rms_norm_eps"
        case maximumLength = "max_position_embeddings"
        case tiesEmbeddings = "tie_word_embeddings"
        case activation = "hidden_act"
        case attentionBias = "attention_bias"
        case feedForwardBias = "mlp_bias"
        case slidingWindow = "sliding_window"
        case usesSlidingWindow = "use_sliding_window"
        case layerTypes = "layer_types"
        case rotaryShare = "partial_rotary_factor"
        case storedType = "torch_dtype"
        case storedTypeOf5 = "dtype"
    }

    /// Keys of other models in the family: each affects results, and none is supported here.
    private static let refused = [
        "attention_multiplier", "attn_logit_softcapping", "clip_qkv", "embedding_multiplier", "final_logit_softcapping",
        "logit_scale", "logits_scaling", "no_rope_layers", "num_experts", "num_local_experts", "qk_layernorm",
        "qk_norm",
        "quantization_config", "query_pre_attn_scalar", "residual_multiplier", "rotary_pct", "scale_depth", "scale_emb",
        "use_qk_norm",
    ]

    /// Reads `config.json`.
    ///
    /// - Throws: `ModelConfigurationError` naming a key that is missing, out of range or asks for an unsupported
    ///   feature, or an error that names a value of the wrong type.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        /// A required key, whose value could only be guessed if it were absent.
        func needed<Value: Decodable>(_ key: Key, _ advice: String = "") throws -> Value {
            guard let value = try values.decodeIfPresent(Value.self, forKey: key) else {
                throw ModelConfigurationError(key: key.rawValue, value: "missing", expected: "a value\(advice)")
            }
            return value
        }
        let type: String = try needed(.family)
        guard let family = Family(rawValue: type) else {
            throw ModelConfigurationError(key: "model_type", value: type, expected: "llama or qwen2")
        }
        self.init(vocabularySize: try needed(.vocabularySize))
        self.family = family
        width = try needed(.width)
        layers = try needed(.layers)
        heads = try needed(.heads)
        try require("num_attention_heads", heads, in: ModelRange.heads)
        try require("hidden_size", width, in: ModelRange.width)
        // By the families' own convention, these two default to values derived from the others.
        keyValueHeads = try values.decodeIfPresent(Int.self, forKey: .keyValueHeads) ?? heads
        headWidth = try values.decodeIfPresent(Int.self, forKey: .headWidth) ?? Self.headWidth(width, heads)
        feedForwardWidth = try needed(.feedForwardWidth)
        rotaryBase = try Self.rotaryBase(values)
        normEpsilon = try needed(.normEpsilon)
        maximumLength = try needed(.maximumLength)
        tiesEmbeddings = try needed(.tiesEmbeddings)
        let activation: String = try needed(.activation)
        try require("hidden_act", activation, activation == "silu", "silu")
        try Self.refuseBiases(values, family)
        try Self.refuseWindows(values)
        try Self.checkStoredType(values)
        try Self.refuseOtherModels(decoder)
        try validate()
    }

    private static func headWidth(_ width: Int, _ heads: Int) throws -> Int {
        try require(
            "hidden_size",
            width,
            width % heads == 0,
            "a multiple of the \(heads) heads, or a head_dim of its own"
        )
        return width / heads
    }

    private static func refuseBiases(_ values: KeyedDecodingContainer<Key>, _ family: Family) throws {
        let attentionBias = try values.decodeIfPresent(Bool.self, forKey: .attentionBias) ?? false
        try require("attention_bias", attentionBias, family == .qwen2 || !attentionBias, "false for llama")
        let feedForwardBias = try values.decodeIfPresent(Bool.self, forKey: .feedForwardBias) ?? false
        try require("mlp_bias", feedForwardBias, !feedForwardBias, "false")
    }

    private static func refuseWindows(_ values: KeyedDecodingContainer<Key>) throws {
        let slides = try values.decodeIfPresent(Bool.self, forKey: .usesSlidingWindow)
        try require("use_sliding_window", slides ?? false, slides != true, "false")
        // A window that is not used, as Qwen2 writes it, has no effect.
        if let window = try values.decodeIfPresent(Int.self, forKey: .slidingWindow) {
            try require(
                "sliding_window",
                window,
                slides == false,
                "null: only attention to the whole text is supported"
            )
        }
        for type in try values.decodeIfPresent([String].self, forKey: .layerTypes) ?? [] {
            try require("layer_types", type, type == "full_attention", "full_attention for every layer")
        }
    }

    /// Each tensor in the file has its own stored type; here it only has to be a known name.
    private static func checkStoredType(_ values: KeyedDecodingContainer<Key>) throws {
        for key in [Key.storedType, .storedTypeOf5] {
            guard let type = try values.decodeIfPresent(String.self, forKey: key) else { continue }
            let isRead = ["float32", "float16", "bfloat16", "auto"].contains(type)
            try require(key.rawValue, type, isRead, "float32, float16 or bfloat16")
        }
    }

    private static func refuseOtherModels(_ decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: AnyKey.self)
        for name in refused {
            let key = AnyKey(stringValue: name)
            guard values.contains(key), try !values.decodeNil(forKey: key) else { continue }
            // Present but disabled.
            if (try? values.decode(Bool.self, forKey: key)) == false { continue }
            throw ModelConfigurationError(key: name, value: "set", expected: "null: this is not supported")
        }
    }

    // MARK: - Rotary positions

    /// The base of the rotary positions: `rope_theta` at the top (transformers 4), or in `rope_parameters` (5).
    ///
    /// Anything but plain positions is rejected: wrong results are worse than an error.
    private static func rotaryBase(_ values: KeyedDecodingContainer<Key>) throws -> Float {
        let top = try values.decodeIfPresent(Float.self, forKey: .rotaryBase)
        var bases = top.map { [("rope_theta", $0)] } ?? []
        for key in [Key.rotaryParameters, .rotaryScaling] {
            if let base = try plainBase(values, key) { bases.append(("\(key.rawValue).rope_theta", base)) }
        }
        let share = try values.decodeIfPresent(Float.self, forKey: .rotaryShare) ?? 1
        try require("partial_rotary_factor", share, share == 1, "1: positions turn whole heads only")
        guard let (name, base) = bases.first else {
            throw ModelConfigurationError(
                key: "rope_theta",
                value: "missing",
                expected: "the base the model was trained with, here or in rope_parameters "
                    + "(transformers takes 10000 for a file without one: write that if it is so)"
            )
        }
        for (other, otherBase) in bases.dropFirst() {
            try require(other, otherBase, otherBase == base, "the same as \(name), which is \(base)")
        }
        return base
    }

    /// The base in an object of parameters, all of which must leave positions plain; nil without object or base.
    private static func plainBase(_ values: KeyedDecodingContainer<Key>, _ key: Key) throws -> Float? {
        guard values.contains(key), try !values.decodeNil(forKey: key) else { return nil }
        let parameters = try values.nestedContainer(keyedBy: AnyKey.self, forKey: key)
        var base: Float?
        for name in parameters.allKeys {
            if try parameters.decodeNil(forKey: name) { continue }
            let path = "\(key.rawValue).\(name.stringValue)"
            switch name.stringValue {
            case "rope_theta": base = try parameters.decode(Float.self, forKey: name)
            case "rope_type", "type":
                let type = try parameters.decode(String.self, forKey: name)
                try require(path, type, type == "default", "default: scaled rotary positions are not supported")
            case "partial_rotary_factor":
                let share = try parameters.decode(Float.self, forKey: name)
                try require(path, share, share == 1, "1: positions turn whole heads only")
            default:
                throw ModelConfigurationError(
                    key: path,
                    value: "set",
                    expected: "rope_theta and rope_type default alone: scaled rotary positions are not supported"
                )
            }
        }
        return base
    }

    // MARK: - Writing

    /// Writes `config.json` so that both `transformers` 4 and 5, which still accepts the older keys, can read it.
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

/// A coding key with any name.
private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
