public import Foundation

extension Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// - Parameter path: the file, or the folder it is in.
    /// - Throws: `TokenizerError`: the file is missing, is no tokenizer, or needs a part that is not supported, which is
    ///   named with its value.
    public convenience init(contentsOf path: String) throws(TokenizerError) {
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let file = isFolder.boolValue ? path + "/tokenizer.json" : path
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw .file(path: file, reason: "cannot be read: \(error.localizedDescription)")
        }
        try self.init(json: data)
    }

    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// - Throws: `TokenizerError` as `init(contentsOf:)`.
    public convenience init(json: Data) throws(TokenizerError) {
        let root: JSONNode
        do {
            root = JSONNode(try JSONSerialization.jsonObject(with: json), path: "")
        } catch {
            throw .malformed(key: "file", reason: "is not JSON: \(error.localizedDescription)")
        }
        for key in ["normalizer", "truncation", "padding"] { try root[key].requireNull() }
        try Self.checkPostProcessor(root["post_processor"])
        try Self.checkDecoder(root["decoder"])
        let (preTokenizer, addsPrefixSpace) = try Self.preTokenizer(root["pre_tokenizer"])

        let model = root["model"]
        try model["type"].require("BPE", orMissing: true)
        for key in ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"] {
            try model[key].requireNull(orEmpty: true)
        }
        for key in ["byte_fallback", "fuse_unk"] { try model[key].requireFalse() }
        let added = try Self.addedTokens(root["added_tokens"])
        let vocabulary = try model["vocab"].object()
        try self.init(
            tokenBytes: try Self.tokenBytes(vocabulary, added: added),
            merges: try Self.merges(model["merges"], vocabulary: vocabulary),
            addedTokens: added,
            preTokenizer: preTokenizer,
            addsPrefixSpace: addsPrefixSpace,
            ignoresMerges: try model["ignore_merges"].boolean(default: false)
        )
    }

    /// A `ByteLevel` post-processor only moves offsets, which we do not have; others add tokens.
    private static func checkPostProcessor(_ node: JSONNode) throws(TokenizerError) {
        guard !node.isNull else { return }
        try node["type"].require("ByteLevel")
    }

    private static func checkDecoder(_ node: JSONNode) throws(TokenizerError) {
        try node["type"].require("ByteLevel")
    }

    private static func preTokenizer(_ node: JSONNode) throws(TokenizerError) -> (PreTokenizer, Bool) {
        if try node["type"].string() == "Sequence" {
            let parts = try node["pretokenizers"].array()
            guard parts.count == 2 else {
                throw .unsupported(
                    key: "pre_tokenizer.pretokenizers",
                    value: "\(parts.count) parts",
                    supported: "Split, then ByteLevel"
                )
            }
            try parts[0]["type"].require("Split")
            try parts[0]["behavior"].require("Isolated")
            try parts[0]["invert"].requireFalse()
            try parts[1]["type"].require("ByteLevel")
            try parts[1]["use_regex"].requireFalse()
            try parts[1]["add_prefix_space"].requireFalse()
            return (.split(pattern: try parts[0]["pattern"]["Regex"].string()), false)
        }
        try node["type"].require("ByteLevel")
        guard try node["use_regex"].boolean(default: true) else {
            throw .unsupported(key: "pre_tokenizer.use_regex", value: "false", supported: "true")
        }
        return (.byteLevel, try node["add_prefix_space"].boolean(default: true))
    }

    private static func addedTokens(_ node: JSONNode) throws(TokenizerError) -> [AddedToken] {
        guard !node.isNull else { return [] }
        return try node.array().map { (token) throws(TokenizerError) in
            for key in ["lstrip", "rstrip", "single_word"] { try token[key].requireFalse() }
            return AddedToken(
                id: try token["id"].identifier(),
                content: try token["content"].string(),
                isSpecial: try token["special"].boolean(default: false)
            )
        }
    }

    private static func tokenBytes(
        _ vocabulary: [String: JSONNode],
        added: [AddedToken]
    ) throws(TokenizerError) -> [[UInt8]?] {
        let addedIDs = Set(added.map(\.id))
        var result = [[UInt8]?](repeating: nil, count: vocabulary.count)
        for (text, node) in vocabulary {
            let id = try node.identifier()
            while result.count <= Int(id) { result.append(nil) }
            if addedIDs.contains(id) { continue }
            guard let bytes = ByteAlphabet.bytes(of: text) else {
                throw .malformed(
                    key: "model.vocab",
                    reason: "\"\(text)\" (id \(id)) has characters that stand for no byte"
                )
            }
            guard result[Int(id)] == nil else {
                throw .malformed(key: "model.vocab", reason: "id \(id) is given twice, the second time to \"\(text)\"")
            }
            result[Int(id)] = bytes
        }
        return result
    }

    /// Merges as `"a b"` or `["a", "b"]`; both forms are in use.
    private static func merges(
        _ node: JSONNode,
        vocabulary: [String: JSONNode]
    ) throws(TokenizerError) -> [(left: Int32, right: Int32)] {
        try node.array().map { (merge) throws(TokenizerError) in
            let parts: [String]
            if let text = merge.value as? String {
                parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            } else {
                parts = try merge.array().map { (part) throws(TokenizerError) in try part.string() }
            }
            guard parts.count == 2, let left = vocabulary[parts[0]], let right = vocabulary[parts[1]] else {
                throw .malformed(key: merge.path, reason: "\(parts) is no pair of tokens of model.vocab")
            }
            return (try left.identifier(), try right.identifier())
        }
    }
}

/// A value of a JSON document, with the path that leads to it, so that an error can name it.
private struct JSONNode {
    var value: Any?
    var path: String

    init(_ value: Any?, path: String) {
        self.value = value is NSNull ? nil : value
        self.path = path
    }

    var isNull: Bool { value == nil }

    subscript(_ key: String) -> JSONNode {
        JSONNode((value as? [String: Any])?[key], path: path.isEmpty ? key : "\(path).\(key)")
    }

    func string() throws(TokenizerError) -> String {
        guard let string = value as? String else { throw wrong("a string") }
        return string
    }

    func boolean(default missing: Bool) throws(TokenizerError) -> Bool {
        if isNull { return missing }
        guard let boolean = value as? Bool else { throw wrong("true or false") }
        return boolean
    }

    func identifier() throws(TokenizerError) -> Int32 {
        // A limit far above any vocabulary keeps a wrong file from asking for all memory.
        guard let number = value as? Int, (0..<4_000_000).contains(number) else { throw wrong("a token id from 0") }
        return Int32(number)
    }

    func array() throws(TokenizerError) -> [JSONNode] {
        guard let array = value as? [Any] else { throw wrong("an array") }
        return array.enumerated().map { JSONNode($0.element, path: "\(path)[\($0.offset)]") }
    }

    func object() throws(TokenizerError) -> [String: JSONNode] {
        guard let object = value as? [String: Any] else { throw wrong("an object") }
        return Dictionary(uniqueKeysWithValues: object.map { ($0.key, JSONNode($0.value, path: "\(path).\($0.key)")) })
    }

    func requireNull(orEmpty: Bool = false) throws(TokenizerError) {
        if isNull || (orEmpty && value as? String == "") { return }
        throw .unsupported(key: path, value: brief, supported: "null")
    }

    func requireFalse() throws(TokenizerError) {
        if isNull || value as? Bool == false { return }
        throw .unsupported(key: path, value: brief, supported: "false")
    }

    func require(_ wanted: String, orMissing: Bool = false) throws(TokenizerError) {
        if value as? String == wanted || (orMissing && isNull) { return }
        throw .unsupported(key: path, value: brief, supported: wanted)
    }

    private var brief: String {
        guard let value else { return "missing" }
        if let object = value as? [String: Any], let type = object["type"] as? String { return "of type \(type)" }
        return String("\(value)".prefix(80))
    }

    private func wrong(_ expected: String) -> TokenizerError {
        .malformed(key: path, reason: "is \(brief), expected \(expected)")
    }
}
