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
          "normalizer": null,
          "pre_tokenizer": \(preTokenizerJSON),
          "post_processor": null,
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
        {"id": \(token.id), "content": \(JSONText.quoted(token.content)), "single_word": false, "lstrip": false, \
        "rstrip": false, "normalized": false, "special": \(token.isSpecial)}
        """
    }

    private var preTokenizerJSON: String {
        switch preTokenizer {
        case .byteLevel:
            """
            {"type": "ByteLevel", "add_prefix_space": \(addsPrefixSpace), "trim_offsets": true, "use_regex": true}
            """
        case .split(let pattern):
            """
            {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": \(JSONText.quoted(pattern))}, \
            "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, \
            "trim_offsets": true, "use_regex": false}]}
            """
        }
    }

    /// Added tokens are included in the vocabulary, as Hugging Face's trainer does.
    private var vocabularyEntries: [String] {
        var entries = tokenBytes.enumerated().compactMap { id, bytes in
            bytes.map { (Int32(id), ByteAlphabet.text(of: $0)) }
        }
        let known = Set(entries.map(\.0))
        entries += addedTokens.filter { !known.contains($0.id) }.map { ($0.id, $0.content) }
        return entries.sorted { $0.0 < $1.0 }.map { "\(JSONText.quoted($0.1)): \($0.0)" }
    }

    private var mergeEntries: [String] {
        merges.map { merge in
            let (left, right) = (tokenBytes[Int(merge.left)] ?? [], tokenBytes[Int(merge.right)] ?? [])
            return "[\(JSONText.quoted(ByteAlphabet.text(of: left))), \(JSONText.quoted(ByteAlphabet.text(of: right)))]"
        }
    }
}
