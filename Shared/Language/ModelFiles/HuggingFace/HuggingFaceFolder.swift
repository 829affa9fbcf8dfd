import Bytes
import Foundation
import JSON
import Tensors

/// A language model's folder as Hugging Face's `transformers` writes it.
///
/// `config.json` and `model.safetensors`, or `model.safetensors.index.json` with its shards; beside them, if there are,
/// `generation_config.json`, `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`.
public struct HuggingFaceFolder: Sendable {
    static let weightFile = "model.safetensors"
    static let indexFile = "model.safetensors.index.json"
    /// The files that weights are read from, one or the other.
    static let weightFiles = [weightFile, indexFile]
    /// A configuration, and a chat template, are never longer than this.
    static let longestConfiguration = 1 << 20
    /// `tokenizer_config.json` may list every added token, and an index every weight.
    static let longestList = 1 << 24
    private static let mostShards = 10_000
    private static let table = "model.embed_tokens.weight"
    private static let head = "lm_head.weight"

    /// The folder.
    public let path: String

    /// Names a folder, without reading it.
    public init(path: String) { self.path = path }

    /// Reads the folder's headers and checks every name and shape against its configuration.
    ///
    /// - Throws: `ModelFileError` naming what is missing, unknown or not supported.
    public func languageModel() throws(ModelFileError) -> LanguageModelSource {
        let configuration = try configuration()
        return LanguageModelSource(
            path: path,
            format: .huggingFace,
            configuration: configuration,
            text: try text(configuration),
            tensors: try tensors(configuration)
        )
    }

    /// Reads `config.json`.
    ///
    /// - Throws: `ModelFileError` naming key and value.
    public func configuration() throws(ModelFileError) -> LanguageModelConfiguration {
        let name = "config.json"
        do {
            return try JSONValue.decode(
                LanguageModelConfiguration.self,
                from: try contents(name, atMost: Self.longestConfiguration)
            )
        } catch let error as ModelFileError {
            throw error
        } catch let error as ModelConfigurationError {
            throw .of("\(path)/\(name)", error)
        } catch {
            throw .malformed(path: "\(path)/\(name)", reason: JSONError.reason(error))
        }
    }

    // MARK: - Weights

    private func tensors(
        _ configuration: LanguageModelConfiguration
    ) throws(ModelFileError) -> [String: StoredTensor] {
        let files = try weightFiles()
        var places: [TextKey: Int] = [:]
        for (index, file) in files.enumerated() {
            for name in file.names {
                // A shard may repeat what another has only by mistake: which one counts is not known.
                guard places.updateValue(index, forKey: TextKey(name)) == nil else {
                    throw .malformed(path: file.path, reason: "another shard has the tensor \(name) too")
                }
            }
        }
        var tensors: [String: StoredTensor] = [:]
        for weight in configuration.weights {
            guard let index = places.removeValue(forKey: TextKey(weight.name)) else {
                throw .missing(path: path, tensor: weight.name)
            }
            tensors[weight.name] = try tensor(weight, files[index])
        }
        if configuration.tiesEmbeddings, let index = places.removeValue(forKey: TextKey(Self.head)) {
            try requireCopy(ofTable: tensors[Self.table], files[index])
        }
        // Tables of angles, which older versions stored and `transformers` ignores too.
        let unknown = places.keys.map(\.text).filter { !$0.hasSuffix(".rotary_emb.inv_freq") }
        guard unknown.isEmpty else { throw .unexpected(path: path, tensors: unknown.sorted()) }
        return tensors
    }

    /// Checks that the stored copy of a tied head is one: `transformers` takes a head that differs for the model's own.
    private func requireCopy(ofTable table: StoredTensor?, _ file: SafeTensors) throws(ModelFileError) {
        guard let table, let head = file.stored(Self.head) else { return }
        let isCopy = table.withBytes { table in
            head.bytes.withUnsafeBytes { head in
                guard let first = table.baseAddress, let second = head.baseAddress else { return false }
                return table.count == head.count && memcmp(first, second, head.count) == 0
            }
        }
        guard isCopy, head.type == table.type.rawValue, head.shape == table.shape else {
            throw .unsupported(
                path: "\(path)/config.json",
                key: "tie_word_embeddings",
                value: "true",
                expected: "false, as \(Self.head) differs from \(Self.table)"
            )
        }
    }

    private func tensor(
        _ weight: LanguageModelConfiguration.Weight,
        _ file: SafeTensors
    ) throws(ModelFileError) -> StoredTensor {
        guard let stored = file.stored(weight.name) else { throw .missing(path: file.path, tensor: weight.name) }
        guard let type = StoredType(rawValue: stored.type), type.isPlain else {
            throw Self.unsupportedType(file.path, weight.name, stored.type)
        }
        guard stored.shape == weight.shape else {
            throw .shape(path: file.path, tensor: weight.name, found: stored.shape, expected: weight.shape)
        }
        return StoredTensor(
            path: file.path,
            name: weight.name,
            type: type,
            shape: weight.shape,
            bytes: stored.bytes
        )
    }

    /// The one file, or the shards of the index.
    private func weightFiles() throws(ModelFileError) -> [SafeTensors] {
        if FileManager.default.fileExists(atPath: "\(path)/\(Self.weightFile)") {
            return [try safeTensors(Self.weightFile)]
        }
        guard FileManager.default.fileExists(atPath: "\(path)/\(Self.indexFile)") else {
            throw .unreadable(path: path, reason: otherWeights())
        }
        var files: [SafeTensors] = []
        for name in try shards() { files.append(try safeTensors(name)) }
        return files
    }

    /// Which weights a folder has instead of safetensors, and what can be done.
    private func otherWeights() -> String {
        let files = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
        let reason = "has neither \(Self.weightFile) nor \(Self.indexFile)"
        if let file = files.first(where: { $0.hasPrefix("pytorch_model") && $0.hasSuffix(".bin") }) {
            return "\(reason), but \(file), which is not read: load the model with transformers and write it by "
                + "save_pretrained(FOLDER, safe_serialization=True)"
        }
        return "\(reason); other forms of weights are not read"
    }

    private static func unsupportedType(_ path: String, _ tensor: String, _ type: String) -> ModelFileError {
        .unsupportedType(path: path, tensor: tensor, type: type, expected: StoredType.plain)
    }

    private func safeTensors(_ name: String) throws(ModelFileError) -> SafeTensors {
        do {
            return try SafeTensors(path: "\(path)/\(name)")
        } catch {
            switch error {
            case .unreadable(let path, let reason): throw .unreadable(path: path, reason: reason)
            case .malformed(let path, let reason): throw .malformed(path: path, reason: reason)
            case .unsupportedType(let path, let tensor, let type):
                throw Self.unsupportedType(path, tensor, type)
            default: throw .malformed(path: "\(path)/\(name)", reason: error.description)
            }
        }
    }

    /// The names of the shards, each once; a name is that of a file beside the index, never a path.
    private func shards() throws(ModelFileError) -> [String] {
        let index = "\(path)/\(Self.indexFile)"
        guard case .object(let root) = try json(Self.indexFile, atMost: Self.longestList),
            case .object(let map)? = root["weight_map"]
        else { throw .unsupported(path: index, key: "weight_map", value: "missing", expected: "an object") }
        var names: Set<String> = []
        for (tensor, value) in map.fields {
            guard case .string(let name) = value, name.hasSuffix(".safetensors"), !name.contains("/"),
                !name.utf8.contains(0)
            else {
                throw .unsupported(
                    path: index,
                    key: "weight_map.\(tensor)",
                    value: value.shown,
                    expected: "the name of a .safetensors file in the same folder"
                )
            }
            names.insert(name)
        }
        guard (1...Self.mostShards).contains(names.count) else {
            let expected = "from 1 to \(Self.mostShards)"
            throw .unsupported(path: index, key: "weight_map", value: "\(names.count) files", expected: expected)
        }
        return names.sorted()
    }

    // MARK: - Files

    func existing(_ name: String) -> String? {
        let file = "\(path)/\(name)"
        return FileManager.default.fileExists(atPath: file) ? file : nil
    }

    func contents(_ name: String, atMost limit: Int) throws(ModelFileError) -> [UInt8] {
        do {
            return [UInt8](try FileBytes.contents("\(path)/\(name)", atMost: limit))
        } catch {
            throw .unreadable(path: error.path, reason: error.reason)
        }
    }

    func json(_ name: String, atMost limit: Int) throws(ModelFileError) -> JSONValue {
        let bytes = try contents(name, atMost: limit)
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw .malformed(path: "\(path)/\(name)", reason: error.description)
        }
    }
}
