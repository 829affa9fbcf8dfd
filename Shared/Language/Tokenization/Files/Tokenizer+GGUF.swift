internal import JSON

extension Tokenizer {
    /// How text is split and normalized under a name of `tokenizer.ggml.pre`.
    private struct Kind {
        var steps: [PreTokenizer.Step] = []
        var usesPattern = true
        var normalizer = Normalizer.none
        var ignoresMerges = false
        var addsBegin = false
    }

    /// Makes a tokenizer from the metadata of a GGUF file.
    ///
    /// It gives what the `tokenizer.json` gives that the file was made from, so far as the file tells: GGUF does not
    /// keep which white space an added token takes along. Control tokens become special added tokens, user-defined ones
    /// added tokens; unused ones have no text.
    ///
    /// - Throws: `TokenizerError` naming a key of the file and its value: a model other than `gpt2`, a pre-tokenizer
    ///   that is not known, a token that is no text of bytes, a merge of no tokens.
    public convenience init(gguf data: GGUFVocabulary) throws(TokenizerError) {
        guard data.model == "gpt2" else {
            throw .unsupported(key: "tokenizer.ggml.model", value: JSONError.shown(data.model), supported: "gpt2")
        }
        guard data.addsSpacePrefix != true else {
            throw .unsupported(key: "tokenizer.ggml.add_space_prefix", value: "true", supported: "false")
        }
        let kind = try Self.kind(data.preTokenizer)
        let (tokenBytes, added) = try Self.tokens(data)
        let vocabulary = Vocabulary(tokenBytes)
        guard data.merges.count <= Self.mostMerges else {
            let reason = "has \(data.merges.count) merges, expected at most \(Self.mostMerges)"
            throw .malformed(key: "tokenizer.ggml.merges", reason: reason)
        }
        var merges: [(left: Int32, right: Int32)] = []
        merges.reserveCapacity(data.merges.count)
        for (rank, text) in data.merges.enumerated() {
            guard let merge = Self.merge(text, vocabulary),
                vocabulary.id(of: (tokenBytes[Int(merge.left)] ?? []) + (tokenBytes[Int(merge.right)] ?? [])) != nil
            else {
                let reason = "\(JSONError.shown(text)) is no pair of tokens whose joint text is a token"
                throw .malformed(key: "tokenizer.ggml.merges[\(rank)]", reason: reason)
            }
            merges.append(merge)
        }
        var frame = Frame()
        if data.addsBegin ?? kind.addsBegin { frame.before = [try Self.special(data.beginID, "bos", data)] }
        if data.addsEnd ?? false { frame.after = [try Self.special(data.endID, "eos", data)] }
        try self.init(
            tokenBytes: tokenBytes,
            merges: merges,
            addedTokens: added,
            normalizer: kind.normalizer,
            preTokenizer: try PreTokenizer(steps: kind.steps, usesPattern: kind.usesPattern),
            frame: frame,
            ignoresMerges: kind.ignoresMerges
        )
    }

    private static func kind(_ name: String?) throws(TokenizerError) -> Kind {
        func split(_ pattern: String) throws(TokenizerError) -> [PreTokenizer.Step] {
            [.split(.pattern(try PiecePattern(pattern)), .isolated, isInverted: false)]
        }
        switch name {
        case "gpt-2": return Kind()
        case "smollm": return Kind(steps: [.digits(individually: true)])
        case "llama-bpe":
            let steps = try split(PiecePattern.llama3)
            return Kind(steps: steps, usesPattern: false, ignoresMerges: true, addsBegin: true)
        case "qwen2": return Kind(steps: try split(PiecePattern.qwen2), usesPattern: false, normalizer: .composed)
        default:
            throw .unsupported(
                key: "tokenizer.ggml.pre",
                value: name.map(JSONError.shown) ?? "missing",
                supported: "gpt-2, smollm, llama-bpe, qwen2"
            )
        }
    }

    private static func tokens(_ data: GGUFVocabulary) throws(TokenizerError) -> ([[UInt8]?], [AddedToken]) {
        guard !data.tokens.isEmpty, data.tokens.count <= ids.count, data.types.count == data.tokens.count else {
            let reason = "has \(data.tokens.count) tokens and \(data.types.count) types"
            throw .malformed(key: "tokenizer.ggml.tokens", reason: "\(reason), expected as many, up to \(ids.count)")
        }
        var tokenBytes: [[UInt8]?] = []
        tokenBytes.reserveCapacity(data.tokens.count)
        var (added, contents): ([AddedToken], Set<[UInt8]>) = ([], [])
        for (id, text) in data.tokens.enumerated() {
            var bytes: [UInt8]?
            switch data.types[id] {
            case 1:
                bytes = ByteAlphabet.bytes(of: text)
                guard let bytes, !bytes.isEmpty else {
                    let reason = "\(JSONError.shown(text)) has characters that stand for no byte, or none at all"
                    throw .malformed(key: "tokenizer.ggml.tokens[\(id)]", reason: reason)
                }
            case 3, 4:
                guard added.count < mostAddedTokens, (1...longestAddedToken).contains(text.utf8.count),
                    contents.insert(Array(text.utf8)).inserted
                else {
                    let reason = "\(JSONError.shown(text)) is given twice, has more than \(longestAddedToken) bytes "
                    throw .malformed(
                        key: "tokenizer.ggml.tokens[\(id)]",
                        reason: reason + "or none, or is one of more than \(mostAddedTokens) added tokens"
                    )
                }
                added.append(AddedToken(id: Int32(id), content: text, isSpecial: data.types[id] == 3))
            case 5: break
            default:
                throw .unsupported(
                    key: "tokenizer.ggml.token_type[\(id)]",
                    value: "\(data.types[id])",
                    supported: "1 (normal), 3 (control), 4 (user-defined), 5 (unused)"
                )
            }
            tokenBytes.append(bytes)
        }
        return (tokenBytes, added)
    }

    private static func special(_ id: Int32?, _ name: String, _ data: GGUFVocabulary) throws(TokenizerError) -> Int32 {
        guard let id, (0..<data.tokens.count).contains(Int(id)), data.types[Int(id)] != 5 else {
            throw .malformed(
                key: "tokenizer.ggml.\(name)_token_id",
                reason: "is \(id.map { "\($0)" } ?? "missing"), expected a token, as add_\(name)_token is set"
            )
        }
        return id
    }
}
