public import Foundation
internal import JSON

extension Tokenizer {
    /// Maximum values in a file: the largest vocabularies (260,000 tokens, twice as many merges) have 2 million.
    private static let mostValues = 8_000_000
    /// Maximum number of added tokens, and maximum length of one in bytes.
    private static let (mostAddedTokens, longestAddedToken) = (100_000, 1_024)

    /// Reads a `tokenizer.json`.
    ///
    /// - Parameter path: the file, or the folder that contains it.
    /// - Throws: `TokenizerError` when the file is missing, is not a tokenizer, or needs an unsupported feature, which
    ///   is named with its value.
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
        do throws(JSONError) {
            root = JSONNode(try JSONValue(parsing: Array(json), maximumCount: Self.mostValues), path: "")
        } catch {
            throw .malformed(key: error.field ?? "file", reason: "is not JSON that can be read: \(error.detail)")
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
        let vocabulary = model["vocab"]
        let tokenBytes = try Self.tokenBytes(vocabulary, added: added)
        try self.init(
            tokenBytes: tokenBytes,
            merges: try Self.merges(model["merges"], vocabulary: vocabulary, tokenBytes: tokenBytes),
            addedTokens: added,
            preTokenizer: preTokenizer,
            addsPrefixSpace: addsPrefixSpace,
            ignoresMerges: try model["ignore_merges"].boolean(default: false)
        )
    }

    /// A `ByteLevel` post-processor only adjusts offsets, which we do not keep; others add tokens.
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
        let nodes = try node.array()
        guard nodes.count <= mostAddedTokens else {
            throw .malformed(key: node.path, reason: "has \(nodes.count) tokens, expected at most \(mostAddedTokens)")
        }
        var tokens: [AddedToken] = []
        var (ids, contents): (Set<Int32>, Set<[UInt8]>) = ([], [])
        for token in nodes {
            for key in ["lstrip", "rstrip", "single_word"] { try token[key].requireFalse() }
            let id = try token["id"].identifier()
            let content = try token["content"].string()
            guard (1...longestAddedToken).contains(content.utf8.count) else {
                let reason = "has \(content.utf8.count) bytes, expected from 1 to \(longestAddedToken)"
                throw .malformed(key: token["content"].path, reason: reason)
            }
            guard ids.insert(id).inserted else {
                throw .malformed(key: token["id"].path, reason: "id \(id) is given to two added tokens")
            }
            guard contents.insert(Array(content.utf8)).inserted else {
                let reason = "\(JSONError.shown(content)) is given twice, the second time with id \(id)"
                throw .malformed(key: token["content"].path, reason: reason)
            }
            let isSpecial = try token["special"].boolean(default: false)
            tokens.append(AddedToken(id: id, content: content, isSpecial: isSpecial))
        }
        return tokens
    }

    private static func tokenBytes(_ vocabulary: JSONNode, added: [AddedToken]) throws(TokenizerError) -> [[UInt8]?] {
        let contents = Dictionary(
            added.map { ($0.id, Array($0.content.utf8)) },
            uniquingKeysWith: { first, _ in first }
        )
        let fields = try vocabulary.object()
        var result = [[UInt8]?](repeating: nil, count: fields.count)
        for (text, node) in fields {
            let id = try node.identifier()
            while result.count <= Int(id) { result.append(nil) }
            let bytes = ByteAlphabet.bytes(of: text)
            if let content = contents[id] {
                // Added tokens are in the vocabulary too, either verbatim or byte-encoded.
                guard content == Array(text.utf8) || content == bytes else {
                    let (one, other) = (
                        JSONError.shown(text), JSONError.shown(String(decoding: content, as: UTF8.self))
                    )
                    throw .malformed(key: "model.vocab", reason: "id \(id) is \(one), but \(other) in added_tokens")
                }
                continue
            }
            guard let bytes, !bytes.isEmpty else {
                let reason = "\(JSONError.shown(text)) (id \(id)) has characters that stand for no byte, or none at all"
                throw .malformed(key: "model.vocab", reason: reason)
            }
            guard result[Int(id)] == nil else {
                let reason = "id \(id) is given twice, the second time to \(JSONError.shown(text))"
                throw .malformed(key: "model.vocab", reason: reason)
            }
            result[Int(id)] = bytes
        }
        return result
    }

    /// Merges as `"a b"` or `["a", "b"]`; both forms are in use.
    private static func merges(
        _ node: JSONNode,
        vocabulary: JSONNode,
        tokenBytes: [[UInt8]?]
    ) throws(TokenizerError) -> [(left: Int32, right: Int32)] {
        /// The id of a token that stands for bytes; an added token is never part of a merge.
        func id(_ text: String) throws(TokenizerError) -> Int32? {
            let token = vocabulary[text]
            guard !token.isNull else { return nil }
            let id = try token.identifier()
            return tokenBytes[Int(id)] == nil ? nil : id
        }
        return try node.array().map { (merge) throws(TokenizerError) in
            let parts: [String]
            if case .string(let text)? = merge.value {
                // Split by bytes: Swift treats a space and a following combining mark as one character.
                let pieces = Array(text.utf8).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
                parts = pieces.map { String(decoding: $0, as: UTF8.self) }
            } else {
                parts = try merge.array().map { (part) throws(TokenizerError) in try part.string() }
            }
            guard parts.count == 2, let left = try id(parts[0]), let right = try id(parts[1]) else {
                let shown = parts.prefix(3).map(JSONError.shown).joined(separator: ", ")
                throw .malformed(key: merge.path, reason: "[\(shown)] is no pair of tokens of model.vocab")
            }
            return (left, right)
        }
    }
}

/// A JSON value with its path in the document, so that errors can name it.
private struct JSONNode {
    /// The value; nil when it is missing or null.
    let value: JSONValue?
    let path: String

    init(_ value: JSONValue?, path: String) {
        if case .null? = value { self.value = nil } else { self.value = value }
        self.path = path
    }

    var isNull: Bool { value == nil }

    subscript(_ key: String) -> JSONNode {
        var field: JSONValue?
        if case .object(let object)? = value { field = object[key] }
        return JSONNode(field, path: path.isEmpty ? key : "\(path).\(key)")
    }

    func string() throws(TokenizerError) -> String {
        guard case .string(let string)? = value else { throw wrong("a string") }
        return string
    }

    func boolean(default missing: Bool) throws(TokenizerError) -> Bool {
        guard let value else { return missing }
        guard case .bool(let boolean) = value else { throw wrong("true or false") }
        return boolean
    }

    func identifier() throws(TokenizerError) -> Int32 {
        // A limit far above any vocabulary keeps a malformed file from exhausting memory.
        guard case .number(let number)? = value, let id = number.integer, (0..<4_000_000).contains(id) else {
            throw wrong("a token id from 0 to 3999999")
        }
        return Int32(id)
    }

    func array() throws(TokenizerError) -> [JSONNode] {
        guard case .array(let array)? = value else { throw wrong("an array") }
        return array.enumerated().map { JSONNode($0.element, path: "\(path)[\($0.offset)]") }
    }

    func object() throws(TokenizerError) -> [(name: String, value: JSONNode)] {
        guard case .object(let object)? = value else { throw wrong("an object") }
        return object.fields.map { ($0.name, JSONNode($0.value, path: "\(path).\($0.name)")) }
    }

    func requireNull(orEmpty: Bool = false) throws(TokenizerError) {
        if isNull || (orEmpty && isText("")) { return }
        throw .unsupported(key: path, value: brief, supported: "null")
    }

    func requireFalse() throws(TokenizerError) {
        if isNull { return }
        if case .bool(false)? = value { return }
        throw .unsupported(key: path, value: brief, supported: "false")
    }

    func require(_ wanted: String, orMissing: Bool = false) throws(TokenizerError) {
        if isText(wanted) || (orMissing && isNull) { return }
        throw .unsupported(key: path, value: brief, supported: wanted)
    }

    private func isText(_ wanted: String) -> Bool {
        guard case .string(let text)? = value else { return false }
        return text.utf8.elementsEqual(wanted.utf8)
    }

    private var brief: String {
        guard let value else { return "missing" }
        if case .string(let type)? = self["type"].value { return "of type \(type.prefix(80))" }
        if case .string(let text) = value { return String(text.prefix(80)) }
        return value.shown
    }

    private func wrong(_ expected: String) -> TokenizerError {
        .malformed(key: path, reason: "is \(brief), expected \(expected)")
    }
}
