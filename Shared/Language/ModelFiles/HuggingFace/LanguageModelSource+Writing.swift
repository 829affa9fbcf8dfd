import Foundation
public import Tensors

/// Writes a model as a Hugging Face folder, which `transformers` loads, from whatever files it was opened from.
extension LanguageModelSource {
    /// The type that weights are written in.
    public enum WrittenType: String, Sendable, CaseIterable {
        /// Values that stand by themselves as they are, quantised ones as Float32, which loses nothing.
        case stored
        /// Everything as Float32.
        case float32
        /// Everything rounded to bfloat16.
        case bfloat16
    }

    /// Values that are decoded at once.
    private static let pieceCount = 1 << 22
    /// What belongs to the text in a Hugging Face folder and is copied as it is.
    ///
    /// Tokenizers in other forms than `tokenizer.json` are not read here, but `transformers` reads them.
    private static let copiedFiles = [
        HuggingFaceFolder.generationFile, HuggingFaceFolder.tokenizerFile,
        HuggingFaceFolder.tokenizerConfigurationFile, HuggingFaceFolder.templateFile, "special_tokens_map.json",
        "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
    ]

    /// Writes the folder's files, except for the `tokenizer.json` of a GGUF file, whose tokenizer is not known here.
    ///
    /// Not atomic by itself: see `DurableFolder`.
    ///
    /// - Parameters:
    ///   - folder: an existing folder.
    ///   - type: the type that weights are written in.
    ///   - replacements: other values of some weights, by name, of the same shapes; they are written as Float32.
    /// - Throws: `ModelFileError` for a weight that is not finite, `ModelConfigurationError` for a configuration that
    ///   `config.json` has no keys for, `SafeTensorsError` or the system's error for what cannot be written.
    public func write(
        to folder: String,
        as type: WrittenType,
        replacing replacements: [String: Tensor] = [:]
    ) throws {
        let table = try tensor("model.embed_tokens.weight")
        try writeJSON(
            LanguageModelConfiguration.WithStoredType(configuration, Self.name(of: Self.written(table, type))),
            to: "\(folder)/config.json"
        )
        if format == .huggingFace { try copyText(to: folder) }
        if !FileManager.default.fileExists(atPath: "\(folder)/generation_config.json") {
            try writeJSON(Generation(text), to: "\(folder)/generation_config.json")
        }
        if case .gguf(let tokenizer)? = text.tokenizer {
            try writeJSON(
                TokenizerConfiguration(tokenizer, text, configuration),
                to: "\(folder)/tokenizer_config.json"
            )
        }
        try writeWeights(to: "\(folder)/\(HuggingFaceFolder.weightFile)", type, replacements)
    }

    // MARK: - Weights

    private func writeWeights(
        to path: String,
        _ type: WrittenType,
        _ replacements: [String: Tensor]
    ) throws {
        let tensors = try tensorNames.map { try tensor($0) }
        let writer = try SafeTensorsWriter(
            path: path,
            tensors: tensors.map {
                let isReplaced = replacements[$0.name] != nil
                return SafeTensorsWriter.Declaration(
                    $0.name,
                    isReplaced ? .float32 : Self.written($0, type),
                    shape: $0.shape
                )
            },
            // `transformers` 4 refuses a file that does not say whose order its values are in.
            metadata: ["format": "pt"]
        )
        for tensor in tensors {
            if let replacement = replacements[tensor.name] {
                precondition(replacement.shape == tensor.shape, "\(tensor.name): \(replacement.shape), \(tensor.shape)")
                try writer.append(replacement.values)
                continue
            }
            try tensor.checkIsFinite()
            try Self.write(tensor, Self.written(tensor, type), writer)
        }
        try writer.finish()
    }

    private static func write(
        _ tensor: StoredTensor,
        _ type: SafeTensorsWriter.ValueType,
        _ writer: SafeTensorsWriter
    ) throws {
        if tensor.rowOrder == .stored, tensor.type.rawValue == type.rawValue {
            return try tensor.withBytes { try writer.append(bytes: $0) }
        }
        let step = max(1, pieceCount / max(tensor.columns, 1))
        for first in stride(from: 0, to: tensor.rows, by: step) {
            let values = tensor.values(rows: first..<min(first + step, tensor.rows))
            switch type {
            case .bfloat16: try writer.append(StoredTensor.bfloat16(values))
            // Halves came from halves, so they are exact.
            case .float16: try writer.append(values.map { Float16($0).bitPattern })
            case .float32, .int32: try writer.append(values)
            }
        }
    }

    private static func written(_ tensor: StoredTensor, _ type: WrittenType) -> SafeTensorsWriter.ValueType {
        switch type {
        case .stored: SafeTensorsWriter.ValueType(rawValue: tensor.type.rawValue) ?? .float32
        case .float32: .float32
        case .bfloat16: .bfloat16
        }
    }

    private static func name(of type: SafeTensorsWriter.ValueType) -> String {
        switch type {
        case .float16: "float16"
        case .bfloat16: "bfloat16"
        case .float32, .int32: "float32"
        }
    }

    // MARK: - Text

    private struct Generation: Encodable {
        let bos_token_id: Int32?
        let eos_token_id: [Int32]?

        init(_ text: LanguageModelText) {
            bos_token_id = text.beginID
            eos_token_id = text.endIDs.isEmpty ? nil : text.endIDs
        }
    }

    private struct TokenizerConfiguration: Encodable {
        // The class that takes everything from `tokenizer.json`.
        let tokenizer_class = "PreTrainedTokenizerFast"
        let clean_up_tokenization_spaces = false
        let model_max_length: Int
        let bos_token: String?
        let eos_token: String?
        let unk_token: String?
        let pad_token: String?
        let chat_template: String?

        init(_ data: GGUFTokenizerData, _ text: LanguageModelText, _ configuration: LanguageModelConfiguration) {
            func token(_ id: Int32?) -> String? { id.map { data.tokens[Int($0)] } }
            model_max_length = configuration.maximumLength
            bos_token = token(data.beginID)
            eos_token = token(data.endID)
            unk_token = token(data.unknownID)
            pad_token = token(data.paddingID)
            chat_template = text.chatTemplate
        }
    }

    private func copyText(to folder: String) throws {
        for name in Self.copiedFiles where FileManager.default.fileExists(atPath: "\(path)/\(name)") {
            try copyFile(name, to: folder)
        }
        let templates = HuggingFaceFolder.templateFolder
        guard FileManager.default.fileExists(atPath: "\(path)/\(templates)/.") else { return }
        try FileManager.default.createDirectory(atPath: "\(folder)/\(templates)", withIntermediateDirectories: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(templates)")
        where name.hasSuffix(".jinja") {
            try copyFile("\(templates)/\(name)", to: folder)
        }
    }

    /// Copies what a link leads to: in Hugging Face's cache every file is a link, and a copy of it would lead nowhere.
    private func copyFile(_ name: String, to folder: String) throws {
        let file = URL(filePath: "\(path)/\(name)").resolvingSymlinksInPath().path
        try FileManager.default.copyItem(atPath: file, toPath: "\(folder)/\(name)")
    }

    private func writeJSON(_ value: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(value).write(to: URL(filePath: path))
        } catch let error as CocoaError {
            throw ModelFileError.unreadable(path: path, reason: "cannot be written: \(error.localizedDescription)")
        }
    }
}
