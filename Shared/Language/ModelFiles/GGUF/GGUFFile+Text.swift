import Bytes
import Foundation

extension GGUFFile {
    private static let mostMerges = 8_000_000
    private static let mostTemplates = 1_000

    /// Tokenizer, chat template and special tokens.
    ///
    /// - Throws: `ModelFileError` naming a key whose value has the wrong type or is out of range.
    func text() throws(ModelFileError) -> LanguageModelText {
        var text = LanguageModelText()
        text.chatTemplate = try metadata.string("tokenizer.chat_template")
        if text.chatTemplate == nil {
            let names = try metadata.strings("tokenizer.chat_templates", atMost: Self.mostTemplates)
            text.namedChatTemplates = names ?? []
        }
        guard let tokenizer = try tokenizer() else { return text }
        text.tokenizer = .gguf(tokenizer)
        text.beginID = tokenizer.beginID
        text.beginMark = tokenizer.beginID.map { tokenizer.tokens[Int($0)] } ?? ""
        text.endMark = tokenizer.endID.map { tokenizer.tokens[Int($0)] }
        let message = try id("eom", among: tokenizer.tokens.count)
        text.endIDs = Set([tokenizer.endID, tokenizer.endOfTurnID, message].compactMap { $0 }).sorted()
        return text
    }

    /// The tokenizer's data; nil for a file without tokens.
    ///
    /// - Throws: `ModelFileError` naming a key whose value is missing, has the wrong type or is out of range.
    public func tokenizer() throws(ModelFileError) -> GGUFTokenizerData? {
        let limit = ModelRange.tokens.upperBound
        guard let tokens = try metadata.strings("tokenizer.ggml.tokens", atMost: limit) else { return nil }
        guard let model = try metadata.string("tokenizer.ggml.model") else {
            throw wrong("tokenizer.ggml.model", "a name, as there are tokens")
        }
        let merges = try metadata.strings("tokenizer.ggml.merges", atMost: Self.mostMerges)
        // Without its merges byte-level BPE would write each byte as a token of its own, and nobody would notice.
        guard merges != nil || model != "gpt2" else {
            throw wrong("tokenizer.ggml.merges", "the merges of byte-level BPE, as tokenizer.ggml.model is gpt2")
        }
        var data = GGUFTokenizerData(
            model: model,
            preTokenizer: try metadata.string("tokenizer.ggml.pre"),
            tokens: tokens,
            types: try types(tokens.count),
            merges: merges ?? []
        )
        data.beginID = try id("bos", among: tokens.count)
        data.endID = try id("eos", among: tokens.count)
        data.endOfTurnID = try id("eot", among: tokens.count)
        data.unknownID = try id("unknown", among: tokens.count)
        data.paddingID = try id("padding", among: tokens.count)
        data.addsBegin = try metadata.bool("tokenizer.ggml.add_bos_token")
        data.addsEnd = try metadata.bool("tokenizer.ggml.add_eos_token")
        data.addsSpacePrefix = try metadata.bool("tokenizer.ggml.add_space_prefix")
        return data
    }

    private func types(_ count: Int) throws(ModelFileError) -> [GGUFTokenizerData.TokenType] {
        let key = "tokenizer.ggml.token_type"
        guard let numbers = try metadata.integers(key, atMost: ModelRange.tokens.upperBound) else {
            return [GGUFTokenizerData.TokenType](repeating: .normal, count: count)
        }
        guard numbers.count == count else { throw wrong(key, "\(count) values, one for each token") }
        var types: [GGUFTokenizerData.TokenType] = []
        types.reserveCapacity(count)
        for (token, number) in numbers.enumerated() {
            guard let type = Int32(exactly: number).flatMap(GGUFTokenizerData.TokenType.init(rawValue:)) else {
                throw .unsupported(path: path, key: "\(key)[\(token)]", value: "\(number)", expected: "from 1 to 6")
            }
            types.append(type)
        }
        return types
    }

    private func id(_ name: String, among count: Int) throws(ModelFileError) -> Int32? {
        let key = "tokenizer.ggml.\(name)_token_id"
        guard let id = try metadata.integer(key) else { return nil }
        guard (0..<count).contains(id) else { throw wrong(key, "a token from 0 to \(count - 1)") }
        return Int32(id)
    }

    private func wrong(_ key: String, _ expected: String) -> ModelFileError {
        .unsupported(path: path, key: key, value: metadata.shown(key), expected: expected)
    }
}
