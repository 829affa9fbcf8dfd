import Foundation

/// A language model as it lies in its files: configuration, weights in their stored types, and what belongs to its text.
///
/// Opening reads headers and checks every name and shape against the configuration; weights stay in the file until they
/// are read. The files must not change while it is in use.
public struct LanguageModelSource: Sendable {
    /// What the files are.
    public enum Format: String, Sendable {
        /// A folder with `config.json` and safetensors files.
        case huggingFace = "Hugging Face"
        /// One GGUF file.
        case gguf = "GGUF"
    }

    /// The folder or file it was opened from.
    public let path: String
    /// What the files are.
    public let format: Format
    /// The model's shape.
    public let configuration: LanguageModelConfiguration
    /// Tokenizer, chat template and special tokens.
    public let text: LanguageModelText
    private let tensors: [String: StoredTensor]

    init(
        path: String,
        format: Format,
        configuration: LanguageModelConfiguration,
        text: LanguageModelText,
        tensors: [String: StoredTensor]
    ) {
        self.path = path
        self.format = format
        self.configuration = configuration
        self.text = text
        self.tensors = tensors
    }

    /// Opens a model.
    ///
    /// - Parameter path: a GGUF file; a folder with `config.json` and `model.safetensors` or its sharded index; or a folder
    ///   with one GGUF file.
    /// - Returns: the model, whose weights all have the names and shapes that the configuration asks for.
    /// - Throws: `ModelFileError` naming file, key, value, tensor or type, and what is expected.
    public static func open(_ path: String) throws(ModelFileError) -> LanguageModelSource {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw .unreadable(path: path, reason: "does not exist; give a GGUF file or a folder of Hugging Face's form")
        }
        guard isFolder.boolValue else { return try GGUFFile(path: path).languageModel() }
        let files: [String]
        do {
            files = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw .unreadable(path: path, reason: "cannot be listed: \(error.localizedDescription)")
        }
        let gguf = files.filter { $0.hasSuffix(".gguf") && !$0.hasPrefix(".") }
        // Folders of GGUF files often have the `config.json` that they were made from.
        let isOfGGUF = !gguf.isEmpty && !files.contains { $0.hasSuffix(".safetensors") }
        if files.contains("config.json"), !isOfGGUF { return try HuggingFaceFolder(path: path).languageModel() }
        guard gguf.count == 1 else {
            let found =
                gguf.isEmpty
                ? "has neither config.json nor a .gguf file"
                : "has \(gguf.count) .gguf files, the first is \(gguf[0])"
            throw .unreadable(path: path, reason: "\(found); give the file of the model, or a folder with one")
        }
        return try GGUFFile(path: "\(path)/\(gguf[0])").languageModel()
    }

    /// The names of all weights under Hugging Face's names, in the order of the computation.
    public var tensorNames: [String] { configuration.weights.map(\.name) }

    /// A weight by its Hugging Face name, such as `model.layers.0.self_attn.q_proj.weight`.
    ///
    /// - Throws: `ModelFileError.missing` for a name that this configuration has no weight for.
    public func tensor(_ name: String) throws(ModelFileError) -> StoredTensor {
        guard let tensor = tensors[name] else { throw .missing(path: path, tensor: name) }
        return tensor
    }

    /// The weights of the output head: the token table's, or its own where it is not tied.
    ///
    /// - Throws: nothing in a model that was opened.
    public func head() throws(ModelFileError) -> StoredTensor {
        try tensor(configuration.tiesEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight")
    }
}
