internal import Foundation
internal import JSON

extension Tokenizer {
    /// Atomically writes a `tokenizer.json` that Hugging Face's `tokenizers` can read.
    ///
    /// - Parameter path: the file, or an existing folder.
    /// - Throws: `TokenizerError.file` when it cannot be written.
    public func save(to path: String) throws(TokenizerError) {
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let file = isFolder.boolValue ? path + "/tokenizer.json" : path
        do {
            try Data(json().utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
        } catch {
            throw .file(path: file, reason: "cannot be written: \(error.localizedDescription)")
        }
    }

    /// The contents of a `tokenizer.json`: the same tokenizer always gives the same bytes.
    public func json() -> String {
        """
        {
          "version": "1.0",
          "truncation": null,
          "padding": null,
          "added_tokens": [\(list(addedTokens.map(Self.json)))],
          "normalizer": \(normalizer == .composed ? #"{"type": "NFC"}"# : "null"),
          "pre_tokenizer": \(preTokenizerJSON),
          "post_processor": \(postProcessorJSON),
          "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
          "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": \(ignoresMerges),
            "vocab": {\(list(vocabularyEntries))},
            "merges": [\(list(mergeEntries))]
          }
        }

        """
    }

    private func list(_ entries: [String]) -> String {
        entries.isEmpty ? "" : "\n    " + entries.joined(separator: ",\n    ") + "\n  "
    }

    private static func json(_ token: AddedToken) -> String {
        """
        {"id": \(token.id), "content": \(JSONText.quoted(token.content)), "single_word": \(token.isSingleWord), \
        "lstrip": \(token.stripsLeft), "rstrip": \(token.stripsRight), "normalized": \(token.isNormalized), \
        "special": \(token.isSpecial)}
        """
    }

    private var preTokenizerJSON: String {
        let last = """
            {"type": "ByteLevel", "add_prefix_space": \(preTokenizer.addsPrefixSpace), "trim_offsets": true, \
            "use_regex": \(preTokenizer.pattern != nil)}
            """
        guard !preTokenizer.steps.isEmpty else { return last }
        let steps = preTokenizer.steps.map(Self.json) + [last]
        return #"{"type": "Sequence", "pretokenizers": [\#(steps.joined(separator: ", "))]}"#
    }

    private static func json(_ step: PreTokenizer.Step) -> String {
        switch step {
        case .digits(let individually): #"{"type": "Digits", "individual_digits": \#(individually)}"#
        case .split(let delimiter, let behaviour, let isInverted):
            """
            {"type": "Split", "pattern": \(json(delimiter)), "behavior": "\(behaviour.rawValue)", "invert": \(isInverted)}
            """
        }
    }

    private static func json(_ delimiter: PreTokenizer.Delimiter) -> String {
        switch delimiter {
        case .pattern(let pattern): #"{"Regex": \#(JSONText.quoted(pattern.source))}"#
        case .text(let text): #"{"String": \#(JSONText.quoted(text))}"#
        }
    }

    /// A template that puts the frame around one text, and around two.
    private var postProcessorJSON: String {
        guard frame != Frame() else { return "null" }
        func name(_ id: Int32) -> String {
            JSONText.quoted(String(decoding: bytes(of: id), as: UTF8.self))
        }
        func special(_ ids: [Int32], _ type: Int) -> [String] {
            ids.map { #"{"SpecialToken": {"id": \#(name($0)), "type_id": \#(type)}}"# }
        }
        func text(_ id: String, _ type: Int) -> [String] {
            let piece = #"{"Sequence": {"id": "\#(id)", "type_id": \#(type)}}"#
            return special(frame.before, type) + [piece] + special(frame.after, type)
        }
        let tokens = Set(frame.before + frame.after).sorted()
            .map { #"\#(name($0)): {"id": \#(name($0)), "ids": [\#($0)], "tokens": [\#(name($0))]}"# }
        return """
            {"type": "TemplateProcessing", "single": [\(text("A", 0).joined(separator: ", "))], \
            "pair": [\((text("A", 0) + text("B", 1)).joined(separator: ", "))], \
            "special_tokens": {\(tokens.joined(separator: ", "))}}
            """
    }

    /// Added tokens are included in the vocabulary, as Hugging Face's trainer does.
    private var vocabularyEntries: [String] {
        var entries = vocabulary.tokenBytes.enumerated().compactMap { id, bytes in
            bytes.map { (Int32(id), ByteAlphabet.text(of: $0)) }
        }
        let known = Set(entries.map(\.0))
        entries += addedTokens.filter { !known.contains($0.id) }.map { ($0.id, $0.content) }
        return entries.sorted { $0.0 < $1.0 }.map { "\(JSONText.quoted($0.1)): \($0.0)" }
    }

    private var mergeEntries: [String] {
        merges.map { merge in
            let (left, right) = (vocabulary.tokenBytes[Int(merge.left)], vocabulary.tokenBytes[Int(merge.right)])
            let texts = [left, right].map { JSONText.quoted(ByteAlphabet.text(of: $0 ?? [])) }
            return "[\(texts.joined(separator: ", "))]"
        }
    }
}
