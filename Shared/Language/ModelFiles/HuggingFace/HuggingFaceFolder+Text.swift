import Foundation
import JSON

/// What belongs to the text of a folder's model.
///
/// - Source: huggingface/transformers, `tokenization_utils_base.py` and `tokenization_utils_tokenizers.py`.
extension HuggingFaceFolder {
    static let tokenizerFile = "tokenizer.json"
    static let tokenizerConfigurationFile = "tokenizer_config.json"
    static let generationFile = "generation_config.json"
    static let templateFile = "chat_template.jinja"
    /// The folder of templates other than the default one, as `transformers` 5 writes them.
    static let templateFolder = "additional_chat_templates"
    /// Classes that name no special tokens by themselves.
    private static let plainClasses = ["PreTrainedTokenizerFast", "TokenizersBackend"]

    func text(_ configuration: LanguageModelConfiguration) throws(ModelFileError) -> LanguageModelText {
        var text = LanguageModelText()
        text.tokenizer = existing(Self.tokenizerFile).map { .file($0) }
        let settings = try tokenizerConfiguration()
        try readTemplates(settings, &text)
        text.beginMark = try mark("bos_token", settings) ?? markOfNone(settings)
        text.endMark = try mark("eos_token", settings)
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
        guard let file = existing(Self.generationFile) else { return Generation() }
        let generation: Generation
        do {
            generation = try JSONValue.decode(
                Generation.self,
                from: try contents(Self.generationFile, atMost: Self.longestConfiguration)
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

    // MARK: - tokenizer_config.json

    private func tokenizerConfiguration() throws(ModelFileError) -> JSONObject? {
        guard let file = existing(Self.tokenizerConfigurationFile) else { return nil }
        guard case .object(let root) = try json(Self.tokenizerConfigurationFile, atMost: Self.longestList) else {
            throw .malformed(path: file, reason: "it is no JSON object")
        }
        return root
    }

    /// A special token, given as its text or as an object with its `content`; nil for one that is not named.
    private func mark(_ key: String, _ settings: JSONObject?) throws(ModelFileError) -> String? {
        switch settings?[key] {
        case nil, .null?: return nil
        case .string(let mark)?: return mark
        case .object(let token)?:
            if case .string(let mark)? = token["content"] { return mark }
            throw unsupported("\(key).content", token["content"]?.shown ?? "missing", "a string")
        case let other?: throw unsupported(key, other.shown, "a string, or an object with its content")
        }
    }

    /// The mark that begins a text where the settings name none: empty where that means that there is none, nil where it is
    /// left to the tokenizer's class.
    private func markOfNone(_ settings: JSONObject?) -> String? {
        guard let settings else { return nil }
        if case .null? = settings["bos_token"] { return "" }
        guard case .string(let name)? = settings["tokenizer_class"] else { return nil }
        return Self.plainClasses.contains(name) ? "" : nil
    }

    /// `chat_template.jinja` where there is one, else the template in `tokenizer_config.json`; of several, `default`.
    ///
    /// Where there are several and none of them is the default, their names.
    private func readTemplates(_ settings: JSONObject?, _ text: inout LanguageModelText) throws(ModelFileError) {
        if let file = existing(Self.templateFile) {
            let bytes = try contents(Self.templateFile, atMost: Self.longestConfiguration)
            guard let template = String(validating: bytes, as: UTF8.self) else {
                throw .malformed(path: file, reason: "it is not UTF-8")
            }
            text.chatTemplate = template
            return
        }
        switch settings?["chat_template"] {
        case nil, .null?: text.namedChatTemplates = additionalTemplates()
        case .string(let template)?: text.chatTemplate = template
        case .array(let templates)?:
            for case .object(let template) in templates {
                guard case .string(let name)? = template["name"], case .string(let source)? = template["template"]
                else {
                    continue
                }
                if name == "default" { text.chatTemplate = source }
                text.namedChatTemplates.append(name)
            }
            if text.chatTemplate != nil { text.namedChatTemplates = [] }
        case let other?:
            throw unsupported("chat_template", other.shown, "a string, or an array of named templates")
        }
    }

    private func additionalTemplates() -> [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(Self.templateFolder)")) ?? []
        return files.filter { $0.hasSuffix(".jinja") }.map { String($0.dropLast(6)) }.sorted()
    }

    private func unsupported(_ key: String, _ value: String, _ expected: String) -> ModelFileError {
        .unsupported(path: "\(path)/\(Self.tokenizerConfigurationFile)", key: key, value: value, expected: expected)
    }
}
