extension GGUFFile {
    /// Keys of an architecture, after its name and a dot, that have no effect on the numbers, or whose effect is checked.
    private static let knownKeys: Set<String> = [
        "block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size",
        "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
        "attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base",
        "rope.scaling.original_context_length", "rope.scaling.finetuned", "tensor_data_layout",
    ]

    /// Keys that must have one value where they are present, for any other changes the numbers.
    private static let fixedKeys: [(key: String, value: Float, expected: String)] = [
        ("expert_count", 0, "0: mixtures of experts are not supported"),
        ("expert_used_count", 0, "0: mixtures of experts are not supported"),
        ("attention.sliding_window", 0, "0: only attention to the whole text is supported"),
        ("rope.scaling.factor", 1, "1: of scaled rotary positions only Llama 3's, in rope_freqs.weight, is supported"),
        ("rope.scale_linear", 1, "1: of scaled rotary positions only Llama 3's, in rope_freqs.weight, is supported"),
        ("rope.scaling.attn_factor", 1, "1: this scaling is not supported"),
        ("logit_scale", 1, "1: scaled logits are not supported"),
        ("embedding_scale", 1, "1: scaled embeddings are not supported"),
        ("residual_scale", 1, "1: scaled residuals are not supported"),
        ("pooling_type", 0, "0: models of embeddings are not supported"),
    ]

    /// The model's shape, from its metadata and the tensors that are there.
    ///
    /// - Throws: `ModelFileError` naming a key that is missing, out of range, unknown or asks for what is not supported.
    /// - Source: ggml-org/llama.cpp, `src/llama-arch.cpp` and `src/llama-model.cpp`, for names and defaults.
    func configuration() throws(ModelFileError) -> LanguageModelConfiguration {
        try requireSupport("general.type", in: ["model"], isOptional: true)
        if try metadata.integer("split.count") ?? 1 > 1 {
            throw unsupported("split.count", "1: join the parts by llama.cpp's gguf-split --merge")
        }
        try requireSupport("general.architecture", in: LanguageModelConfiguration.Family.allCases.map(\.rawValue))
        let name = try metadata.string("general.architecture") ?? ""
        guard let family = LanguageModelConfiguration.Family(rawValue: name) else {
            throw unsupported("general.architecture", "a known architecture")
        }
        try refuseOtherKeys(name)
        guard let table = shape(of: "token_embd.weight"), table.count == 2 else {
            throw .missing(path: path, tensor: "token_embd.weight")
        }
        var configuration = LanguageModelConfiguration(vocabularySize: table[0])
        configuration.family = family
        configuration.width = try needed("\(name).embedding_length")
        configuration.layers = try needed("\(name).block_count")
        configuration.heads = try needed("\(name).attention.head_count")
        configuration.keyValueHeads =
            try metadata.integer("\(name).attention.head_count_kv") ?? configuration.heads
        configuration.headWidth = try headWidth(name, configuration)
        configuration.feedForwardWidth = try needed("\(name).feed_forward_length")
        configuration.maximumLength = try needed("\(name).context_length")
        guard let epsilon = try metadata.number("\(name).attention.layer_norm_rms_epsilon") else {
            throw unsupported("\(name).attention.layer_norm_rms_epsilon", "a number")
        }
        configuration.normEpsilon = epsilon
        // The format's own default, which converters rely on for the first Llamas.
        configuration.rotaryBase = try metadata.number("\(name).rope.freq_base") ?? 10_000
        configuration.tiesEmbeddings = shape(of: "output.weight") == nil
        configuration.attentionBias = family != .qwen2 && hasBias(configuration)
        if family == .llama { configuration.rotaryScaling = try rotaryScaling(configuration) }
        if let count = try metadata.integer("\(name).vocab_size"), count != table[0] {
            throw unsupported("\(name).vocab_size", "\(table[0]), the rows of token_embd.weight")
        }
        do {
            try configuration.validate()
        } catch {
            throw .of(path, error)
        }
        return configuration
    }

    private func needed(_ key: String) throws(ModelFileError) -> Int {
        guard let value = try metadata.integer(key) else { throw unsupported(key, "a whole number") }
        return value
    }

    /// The width of a head: that of keys, which values and rotary positions must share.
    private func headWidth(
        _ name: String,
        _ configuration: LanguageModelConfiguration
    ) throws(ModelFileError) -> Int {
        let (width, heads) = (configuration.width, configuration.heads)
        guard ModelRange.heads.contains(heads), ModelRange.width.contains(width) else {
            throw unsupported("\(name).attention.head_count", "from 1 to \(ModelRange.heads.upperBound)")
        }
        let own = try metadata.integer("\(name).attention.key_length")
        guard own != nil || width % heads == 0 else {
            throw unsupported("\(name).attention.head_count", "a divisor of embedding_length, which is \(width)")
        }
        let headWidth = own ?? width / heads
        for key in ["\(name).attention.value_length", "\(name).rope.dimension_count"] {
            if let other = try metadata.integer(key), other != headWidth {
                throw unsupported(key, "\(headWidth), the width of a head's keys")
            }
        }
        return headWidth
    }

    /// Whether the first block's attention has the biases that are no part of the family.
    private func hasBias(_ configuration: LanguageModelConfiguration) -> Bool {
        configuration.layers > 0 && ["q", "k", "v", "output"].contains { shape(of: "blk.0.attn_\($0).bias") != nil }
    }

    /// Llama 3's scaling, which converters write as one divisor for each pair of a head.
    private func rotaryScaling(
        _ configuration: LanguageModelConfiguration
    ) throws(ModelFileError) -> RotaryScaling {
        let name = "rope_freqs.weight"
        guard let shape = shape(of: name) else { return .none }
        let expected = [configuration.headWidth / 2]
        guard shape == expected else { throw .shape(path: path, tensor: name, found: shape, expected: expected) }
        let divisors = try tensor(name)
        guard divisors.type == .float32 else {
            throw .unsupported(path: path, key: name, value: divisors.type.rawValue, expected: "F32")
        }
        return .recognised(
            divisors.values(rows: 0..<1),
            headWidth: configuration.headWidth,
            base: configuration.rotaryBase
        )
    }

    // MARK: - What is not supported

    private func refuseOtherKeys(_ name: String) throws(ModelFileError) {
        let prefix = "\(name)."
        for key in metadata.keys where key.utf8.starts(with: prefix.utf8) {
            let inner = String(key.dropFirst(prefix.count))
            if Self.knownKeys.contains(inner) { continue }
            if inner == "rope.scaling.type" {
                try requireSupport(key, in: ["none"])
            } else if inner == "attention.causal" {
                guard try metadata.bool(key) == true else { throw unsupported(key, "true") }
            } else if let fixed = Self.fixedKeys.first(where: { $0.key == inner }) {
                guard try metadata.number(key) == fixed.value else { throw unsupported(key, fixed.expected) }
            } else {
                throw unsupported(key, "no such key: what it changes is not known here")
            }
        }
    }

    private func requireSupport(
        _ key: String,
        in values: [String],
        isOptional: Bool = false
    ) throws(ModelFileError) {
        if isOptional && !metadata.contains(key) { return }
        guard let value = try metadata.string(key), values.contains(value) else {
            throw unsupported(key, values.joined(separator: " or "))
        }
    }

    private func unsupported(_ key: String, _ expected: String) -> ModelFileError {
        .unsupported(path: path, key: key, value: metadata.shown(key), expected: expected)
    }
}
