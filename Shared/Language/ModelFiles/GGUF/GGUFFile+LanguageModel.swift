import Foundation

extension GGUFFile {
    /// The language model in this file, under Hugging Face's names.
    ///
    /// - Throws: `ModelFileError` naming what is missing, unknown or not supported.
    func languageModel() throws(ModelFileError) -> LanguageModelSource {
        var configuration = try configuration()
        let text = try text()
        configuration.beginID = text.beginID
        configuration.endIDs = text.endIDs
        if case .gguf(let tokenizer) = text.tokenizer, tokenizer.tokens.count != configuration.vocabularySize {
            throw .unsupported(
                path: path,
                key: "tokenizer.ggml.tokens",
                value: "an array of \(tokenizer.tokens.count) strings",
                expected: "\(configuration.vocabularySize), the rows of token_embd.weight"
            )
        }
        let weights = configuration.weights
        // Used by the configuration, for Llama alone.
        let others = configuration.family == .llama ? ["rope_freqs.weight"] : []
        let unknown = Set(tensorNames).subtracting(weights.map(\.ggufName) + others)
        guard unknown.isEmpty else { throw .unexpected(path: path, tensors: unknown.sorted()) }
        var tensors: [String: StoredTensor] = [:]
        for weight in weights {
            guard let shape = shape(of: weight.ggufName) else {
                throw .missing(path: path, tensor: weight.ggufName)
            }
            guard shape == weight.shape else {
                throw .shape(path: path, tensor: weight.ggufName, found: shape, expected: weight.shape)
            }
            tensors[weight.name] = try tensor(weight, configuration)
        }
        return LanguageModelSource(
            path: path,
            format: .gguf,
            configuration: configuration,
            text: text,
            tensors: tensors
        )
    }

    /// A weight with the rows of q and k in Hugging Face's order: of the three, Llama's are stored in another.
    private func tensor(
        _ weight: LanguageModelConfiguration.Weight,
        _ configuration: LanguageModelConfiguration
    ) throws(ModelFileError) -> StoredTensor {
        guard weight.isRotated, configuration.family == .llama else {
            return try tensor(weight.ggufName, as: weight.name)
        }
        let order = StoredTensor.RowOrder.rotaryPairs(headWidth: configuration.headWidth)
        guard weight.shape.count == 1 else { return try tensor(weight.ggufName, as: weight.name, rowOrder: order) }
        // A bias is one row, of which the values are to be put back: it is small enough to copy.
        let stored = try tensor(weight.ggufName)
        guard stored.type.isPlain else {
            throw .unsupportedType(
                path: path,
                tensor: weight.ggufName,
                type: stored.type.rawValue,
                expected: StoredType.plain
            )
        }
        let size = stored.type.blockByteCount
        let bytes = stored.withBytes { bytes in
            Data((0..<stored.count).flatMap { bytes[order.place(of: $0) * size..<(order.place(of: $0) + 1) * size] })
        }
        return StoredTensor(path: path, name: weight.name, type: stored.type, shape: weight.shape, bytes: bytes)
    }
}
