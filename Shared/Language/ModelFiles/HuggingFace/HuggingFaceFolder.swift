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
    private static let longestConfiguration = 1 << 20
    /// `tokenizer_config.json` may list every added token, and an index every weight.
    private static let longestList = 1 << 24
    private static let mostShards = 10_000

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
        let unknown = places.keys.map(\.text).filter { !Self.isUnused($0, configuration) }
        guard unknown.isEmpty else { throw .unexpected(path: path, tensors: unknown.sorted()) }
        return tensors
    }

    /// Whether `transformers` ignores a tensor too: a copy of a tied head, and tables that older versions stored.
    private static func isUnused(_ name: String, _ configuration: LanguageModelConfiguration) -> Bool {
        configuration.tiesEmbeddings && name == "lm_head.weight" || name.hasSuffix(".rotary_emb.inv_freq")
    }

    private func tensor(
        _ weight: LanguageModelConfiguration.Weight,
        _ file: SafeTensors
    ) throws(ModelFileError) -> StoredTensor {
        guard let stored = file.stored(weight.name) else { throw .missing(path: file.path, tensor: weight.name) }
        guard let type = StoredType(rawValue: stored.type), type.isPlain else {
            throw .unsupportedType(path: file.path, tensor: weight.name, type: stored.type)
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
            let reason = "has neither \(Self.weightFile) nor \(Self.indexFile); other forms of weights are not read"
            throw .unreadable(path: path, reason: reason)
        }
        var files: [SafeTensors] = []
        for name in try shards() { files.append(try safeTensors(name)) }
        return files
    }

    private func safeTensors(_ name: String) throws(ModelFileError) -> SafeTensors {
        do {
            return try SafeTensors(path: "\(path)/\(name)")
        } catch {
            switch error {
            case .unreadable(let path, let reason): throw .unreadable(path: path, reason: reason)
            case .malformed(let path, let reason): throw .malformed(path: path, reason: reason)
            case .unsupportedType(let path, let tensor, let type):
                throw .unsupportedType(path: path, tensor: tensor, type: type)
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

    // MARK: - Text

    private func text(_ configuration: LanguageModelConfiguration) throws(ModelFileError) -> LanguageModelText {
        var text = LanguageModelText()
        text.tokenizer = existing("tokenizer.json").map { .file($0) }
        text.tokenizerConfiguration = existing("tokenizer_config.json")
        text.chatTemplate = try chatTemplate()
        let generation = try generation(configuration.vocabularySize)
        text.beginID = configuration.beginID ?? generation.beginID
        text.endIDs = Set(configuration.endIDs + generation.endIDs).sorted()
        return text
    }

    private struct Generation: Decodable {
        var beginID: Int32?
        var endIDs: [Int32] = []

        private enum Key: String, CodingKey {
            case beginID = "bos_token_id"
            case endIDs = "eos_token_id"
        }

        init() {}

        init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: Key.self)
            beginID = try values.decodeIfPresent(Int32.self, forKey: .beginID)
            endIDs = try TokenList.read(values, .endIDs)
        }
    }

    private func generation(_ vocabularySize: Int) throws(ModelFileError) -> Generation {
        guard let file = existing("generation_config.json") else { return Generation() }
        let generation: Generation
        do {
            generation = try JSONValue.decode(
                Generation.self,
                from: try contents("generation_config.json", atMost: Self.longestConfiguration)
            )
        } catch let error as ModelFileError {
            throw error
        } catch {
            throw .malformed(path: file, reason: JSONError.reason(error))
        }
        for id in generation.endIDs where !(0..<vocabularySize).contains(Int(id)) {
            let expected = "a token from 0 to \(vocabularySize - 1)"
            throw .unsupported(path: file, key: "eos_token_id", value: "\(id)", expected: expected)
        }
        return generation
    }

    /// `chat_template.jinja` where there is one, else the template in `tokenizer_config.json`; of several, `default`.
    private func chatTemplate() throws(ModelFileError) -> String? {
        let name = "chat_template.jinja"
        if existing(name) != nil {
            let bytes = try contents(name, atMost: Self.longestConfiguration)
            guard let template = String(validating: bytes, as: UTF8.self) else {
                throw .malformed(path: "\(path)/\(name)", reason: "it is not UTF-8")
            }
            return template
        }
        guard let file = existing("tokenizer_config.json") else { return nil }
        guard case .object(let root) = try json("tokenizer_config.json", atMost: Self.longestList) else {
            throw .malformed(path: file, reason: "it is no JSON object")
        }
        switch root["chat_template"] {
        case nil, .null?: return nil
        case .string(let template)?: return template
        case .array(let templates)?:
            for case .object(let template) in templates {
                if case .string("default")? = template["name"], case .string(let text)? = template["template"] {
                    return text
                }
            }
            return nil
        case let other?:
            let expected = "a string, or an array of named templates"
            throw .unsupported(path: file, key: "chat_template", value: other.shown, expected: expected)
        }
    }

    // MARK: - Files

    private func existing(_ name: String) -> String? {
        let file = "\(path)/\(name)"
        return FileManager.default.fileExists(atPath: file) ? file : nil
    }

    private func contents(_ name: String, atMost limit: Int) throws(ModelFileError) -> [UInt8] {
        do {
            return [UInt8](try FileBytes.contents("\(path)/\(name)", atMost: limit))
        } catch {
            throw .unreadable(path: error.path, reason: error.reason)
        }
    }

    private func json(_ name: String, atMost limit: Int) throws(ModelFileError) -> JSONValue {
        let bytes = try contents(name, atMost: limit)
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw .malformed(path: "\(path)/\(name)", reason: error.description)
        }
    }
}
