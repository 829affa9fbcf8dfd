/// Writes `config.json` so that both `transformers` 4 and 5, which still accepts the older keys, can read it.
extension LanguageModelConfiguration: Encodable {
    private struct Scaling: Encodable {
        let rope_type = "llama3"
        let factor: Float
        let low_freq_factor: Float
        let high_freq_factor: Float
        let original_max_position_embeddings: Int
    }

    /// A configuration together with the type that weights are stored in.
    public struct WithStoredType: Encodable {
        private let configuration: LanguageModelConfiguration
        private let type: String

        /// Names the type as `transformers` does: `float32`, `float16` or `bfloat16`.
        public init(_ configuration: LanguageModelConfiguration, _ type: String) {
            self.configuration = configuration
            self.type = type
        }

        /// Writes `config.json`.
        public func encode(to encoder: any Encoder) throws {
            try configuration.encode(to: encoder, storedType: type)
        }
    }

    /// Writes `config.json` for weights stored as Float32.
    ///
    /// - Throws: `ModelConfigurationError` for rotary divisors, which Hugging Face has no key for.
    public func encode(to encoder: any Encoder) throws { try encode(to: encoder, storedType: "float32") }

    private func encode(to encoder: any Encoder, storedType: String) throws {
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
        switch rotaryScaling {
        case .none: try values.encodeNil(forKey: .rotaryScaling)
        case .llama3(let llama3):
            try values.encode(
                Scaling(
                    factor: llama3.factor,
                    low_freq_factor: llama3.lowFrequencyFactor,
                    high_freq_factor: llama3.highFrequencyFactor,
                    original_max_position_embeddings: llama3.originalLength
                ),
                forKey: .rotaryScaling
            )
        case .divisors:
            throw ModelConfigurationError(
                key: "rope_freqs.weight",
                value: "other divisors than Llama 3's",
                expected: "those of factor, low_freq_factor 1, high_freq_factor 4 and length 8192: "
                    + "config.json has no key for others"
            )
        }
        try values.encode(normEpsilon, forKey: .normEpsilon)
        try values.encode(maximumLength, forKey: .maximumLength)
        try values.encode(tiesEmbeddings, forKey: .tiesEmbeddings)
        try values.encode("silu", forKey: .activation)
        if attentionBias { try values.encode(true, forKey: .attentionBias) }
        if let beginID { try values.encode(beginID, forKey: .beginID) }
        if endIDs.count == 1 { try values.encode(endIDs[0], forKey: .endIDs) }
        if endIDs.count > 1 { try values.encode(endIDs, forKey: .endIDs) }
        try values.encode(storedType, forKey: .storedType)
    }
}
