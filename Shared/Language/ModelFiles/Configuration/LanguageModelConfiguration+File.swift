/// Hugging Face's `config.json`, as `transformers` 4 and 5 write it.
///
/// Nothing that affects results is guessed: a missing required key is an error, and so is one that asks for an
/// unsupported feature. Keys that may be left out have the families' own defaults: they stand below. Keys without effect
/// here, such as `use_cache` or `pretraining_tp`, are ignored.
/// - Source: huggingface/transformers, `configuration_llama.py`, `configuration_qwen2.py`, `configuration_qwen3.py` and
///   `modeling_rope_utils.py`.
extension LanguageModelConfiguration: Decodable {
    enum Key: String, CodingKey {
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
        case fullLayers = "max_window_layers"
        case layerTypes = "layer_types"
        case rotaryShare = "partial_rotary_factor"
        case storedType = "torch_dtype"
        case storedTypeOf5 = "dtype"
        case beginID = "bos_token_id"
        case endIDs = "eos_token_id"
    }

    /// Keys of other models in the family: each affects results, and none is supported here.
    private static let refused = [
        "attention_multiplier", "attn_logit_softcapping", "clip_qkv", "embedding_multiplier", "final_logit_softcapping",
        "logit_scale", "logits_scaling", "no_rope_layers", "num_experts", "num_local_experts", "qk_layernorm",
        "qk_norm", "query_pre_attn_scalar", "residual_multiplier", "rotary_pct", "scale_depth", "scale_emb",
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
        func value<Value: Decodable>(_ key: Key, default value: Value) throws -> Value {
            values.contains(key) ? try needed(key) : value
        }
        let type: String = try needed(.family)
        guard let family = Family(rawValue: type) else {
            throw ModelConfigurationError(key: "model_type", value: type, expected: "llama, qwen2 or qwen3")
        }
        self.init(vocabularySize: try needed(.vocabularySize))
        self.family = family
        width = try needed(.width)
        layers = try needed(.layers)
        heads = try needed(.heads)
        try require("num_attention_heads", heads, in: ModelRange.heads)
        try require("hidden_size", width, in: ModelRange.width)
        // As many as heads where it is null, and for llama also where it is left out.
        keyValueHeads =
            family == .llama || values.contains(.keyValueHeads)
            ? try values.decodeIfPresent(Int.self, forKey: .keyValueHeads) ?? heads : 32
        headWidth =
            family == .qwen3
            ? try value(.headWidth, default: 128)
            : try values.decodeIfPresent(Int.self, forKey: .headWidth) ?? Self.headWidth(width, heads)
        feedForwardWidth = try needed(.feedForwardWidth)
        (rotaryBase, rotaryScaling) = try Self.rotary(values)
        normEpsilon = try value(.normEpsilon, default: 1e-6)
        maximumLength = try needed(.maximumLength)
        tiesEmbeddings = try value(.tiesEmbeddings, default: false)
        let activation = try value(.activation, default: "silu")
        try require("hidden_act", activation, activation == "silu", "silu")
        attentionBias = try Self.attentionBias(values, family)
        beginID = try values.decodeIfPresent(Int32.self, forKey: .beginID)
        endIDs = try TokenList.read(values, .endIDs)
        try Self.refuseWindows(values, family, layers: layers)
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

    private static func attentionBias(_ values: KeyedDecodingContainer<Key>, _ family: Family) throws -> Bool {
        let feedForwardBias = try values.decodeIfPresent(Bool.self, forKey: .feedForwardBias) ?? false
        try require("mlp_bias", feedForwardBias, !feedForwardBias, "false")
        let attentionBias = try values.decodeIfPresent(Bool.self, forKey: .attentionBias) ?? false
        // Qwen2's biases are a part of the family, whatever the key says.
        return family != .qwen2 && attentionBias
    }

    /// Refuses attention that slides.
    ///
    /// Llama's never does, whatever these keys say. Qwen's does from layer `max_window_layers` on, if `use_sliding_window`
    /// is true; a `sliding_window` alone, as its files have it, has no effect.
    private static func refuseWindows(
        _ values: KeyedDecodingContainer<Key>,
        _ family: Family,
        layers: Int
    ) throws {
        let types = try values.decodeIfPresent([String].self, forKey: .layerTypes)
        for type in types ?? [] {
            try require("layer_types", type, type == "full_attention", "full_attention for every layer")
        }
        guard family != .llama, types == nil,
            try values.decodeIfPresent(Bool.self, forKey: .usesSlidingWindow) ?? false
        else { return }
        let isSet = try !values.contains(.slidingWindow) || !values.decodeNil(forKey: .slidingWindow)
        let fullLayers = try values.decodeIfPresent(Int.self, forKey: .fullLayers) ?? 28
        try require(
            "use_sliding_window",
            true,
            !isSet || fullLayers >= layers,
            "false, as max_window_layers is \(fullLayers) of \(layers): only attention to the whole text is supported"
        )
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
        let values = try decoder.container(keyedBy: NamedKey.self)
        for name in refused {
            let key = NamedKey(stringValue: name)
            guard values.contains(key), try !values.decodeNil(forKey: key) else { continue }
            // Present but disabled.
            if (try? values.decode(Bool.self, forKey: key)) == false { continue }
            throw ModelConfigurationError(
                key: name,
                value: shown(values, key),
                expected: "null: models that need it are not supported"
            )
        }
        let key = NamedKey(stringValue: "quantization_config")
        guard values.contains(key), try !values.decodeNil(forKey: key) else { return }
        let quantization = try? values.nestedContainer(keyedBy: NamedKey.self, forKey: key)
        let method = try? quantization?.decode(String.self, forKey: NamedKey(stringValue: "quant_method"))
        throw ModelConfigurationError(
            key: key.stringValue,
            value: method.map { "of quant_method \($0)" } ?? shown(values, key),
            expected: "null: give the model it was made from, or a GGUF file of it"
        )
    }

    /// A value of any type as an error shows it.
    private static func shown(_ values: KeyedDecodingContainer<NamedKey>, _ key: NamedKey) -> String {
        if let value = try? values.decode(Bool.self, forKey: key) { return "\(value)" }
        if let value = try? values.decode(Int64.self, forKey: key) { return "\(value)" }
        if let value = try? values.decode(Double.self, forKey: key) { return "\(value)" }
        if let value = try? values.decode(String.self, forKey: key) { return "\"\(value.prefix(60))\"" }
        return (try? values.nestedUnkeyedContainer(forKey: key)) == nil ? "an object" : "an array"
    }
}

/// A coding key with any name.
struct NamedKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// Token ids that a file gives as one number, as a list, or as null for none.
enum TokenList {
    static func read<Key: CodingKey>(_ values: KeyedDecodingContainer<Key>, _ key: Key) throws -> [Int32] {
        guard values.contains(key), try !values.decodeNil(forKey: key) else { return [] }
        guard var list = try? values.nestedUnkeyedContainer(forKey: key) else {
            return [try values.decode(Int32.self, forKey: key)]
        }
        var ids: [Int32] = []
        while !list.isAtEnd { ids.append(try list.decode(Int32.self)) }
        return ids
    }
}
