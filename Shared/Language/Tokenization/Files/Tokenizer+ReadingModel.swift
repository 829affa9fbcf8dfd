internal import JSON

/// The tokens and merges of a `tokenizer.json`.
extension Tokenizer {
    /// Maximum number of added tokens, and maximum length of one in bytes.
    static let (mostAddedTokens, longestAddedToken) = (100_000, 1_024)

    /// The tokens of a file, by id and by the text they are written with.
    struct ReadVocabulary {
        var tokenBytes: [[UInt8]?]
        /// The tokens whose text stands for bytes.
        var table: Vocabulary
    }

    static func addedTokens(_ node: JSONNode) throws(TokenizerError) -> [AddedToken] {
        guard !node.isNull else { return [] }
        let nodes = try node.array()
        guard nodes.count <= mostAddedTokens else {
            throw .malformed(key: node.path, reason: "has \(nodes.count) tokens, expected at most \(mostAddedTokens)")
        }
        var tokens: [AddedToken] = []
        var (ids, contents): (Set<Int32>, Set<[UInt8]>) = ([], [])
        for token in nodes {
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
            tokens.append(
                AddedToken(
                    id: id,
                    content: content,
                    isSpecial: try token["special"].boolean(default: false),
                    isSingleWord: try token["single_word"].boolean(default: false),
                    stripsLeft: try token["lstrip"].boolean(default: false),
                    stripsRight: try token["rstrip"].boolean(default: false),
                    isNormalized: try token["normalized"].boolean(default: false)
                )
            )
        }
        return tokens
    }

    /// The vocabulary with its added tokens, which stand in it as they are written or as bytes.
    static func vocabulary(_ node: JSONNode, added: [AddedToken]) throws(TokenizerError) -> ReadVocabulary {
        var contents: [Int32: [UInt8]] = [:]
        var addedIDs: [[UInt8]: Int32] = [:]
        for token in added {
            contents[token.id] = Array(token.content.utf8)
            addedIDs[Array(token.content.utf8)] = token.id
        }
        let fields = try node.object()
        guard fields.count <= ids.count else {
            throw .malformed(key: node.path, reason: "has \(fields.count) tokens, expected at most \(ids.count)")
        }
        var result = [[UInt8]?](repeating: nil, count: fields.count)
        for (text, value) in fields {
            let id = try JSONNode(value, path: "\(node.path).\(text)").identifier()
            while result.count <= Int(id) { result.append(nil) }
            let written = Array(text.utf8)
            let bytes = ByteAlphabet.bytes(of: text)
            if let content = contents[id] {
                guard content == written || content == bytes else {
                    let (one, other) = (
                        JSONError.shown(text), JSONError.shown(String(decoding: content, as: UTF8.self))
                    )
                    throw .malformed(key: node.path, reason: "id \(id) is \(one), but \(other) in added_tokens")
                }
            } else if let other = addedIDs[written] {
                let reason = "\(JSONError.shown(text)) is token \(id), but token \(other) in added_tokens"
                throw .malformed(key: node.path, reason: reason)
            }
            guard let bytes, !bytes.isEmpty else {
                if contents[id] != nil { continue }
                let reason = "\(JSONError.shown(text)) (id \(id)) has characters that stand for no byte, or none at all"
                throw .malformed(key: node.path, reason: reason)
            }
            guard result[Int(id)] == nil else {
                let reason = "id \(id) is given twice, the second time to \(JSONError.shown(text))"
                throw .malformed(key: node.path, reason: reason)
            }
            result[Int(id)] = bytes
        }
        return ReadVocabulary(tokenBytes: result, table: Vocabulary(result))
    }

    /// Merges as `"a b"` or `["a", "b"]`; both forms are in use.
    static func merges(
        _ node: JSONNode,
        _ vocabulary: ReadVocabulary
    ) throws(TokenizerError) -> [(left: Int32, right: Int32)] {
        guard case .array(let elements)? = node.value else { throw node.wrong("an array") }
        guard elements.count <= mostMerges else {
            throw .malformed(key: node.path, reason: "has \(elements.count) merges, expected at most \(mostMerges)")
        }
        var result: [(left: Int32, right: Int32)] = []
        result.reserveCapacity(elements.count)
        for (rank, element) in elements.enumerated() {
            switch element {
            case .string(let text):
                guard let merge = merge(text, vocabulary.table) else { throw noPair(node, rank, JSONError.shown(text)) }
                result.append(merge)
            case .array(let parts):
                guard parts.count == 2, case .string(let left) = parts[0], case .string(let right) = parts[1],
                    let leftID = id(left, vocabulary.table), let rightID = id(right, vocabulary.table)
                else { throw noPair(node, rank, "[\(parts.prefix(3).map(\.shown).joined(separator: ", "))]") }
                result.append((leftID, rightID))
            default: throw noPair(node, rank, element.shown)
            }
        }
        return result
    }

    /// The two tokens of a merge that is written with a space between them; nil when it is no such pair.
    ///
    /// Split by bytes: Swift takes a space and a combining mark after it for one character.
    static func merge(_ text: String, _ vocabulary: Vocabulary) -> (left: Int32, right: Int32)? {
        let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2, let left = id(String(parts[0]) ?? "", vocabulary),
            let right = id(String(parts[1]) ?? "", vocabulary)
        else { return nil }
        return (left, right)
    }

    private static func id(_ text: String, _ vocabulary: Vocabulary) -> Int32? {
        ByteAlphabet.bytes(of: text).flatMap { vocabulary.id(of: $0) }
    }

    private static func noPair(_ node: JSONNode, _ rank: Int, _ shown: String) -> TokenizerError {
        .malformed(key: "\(node.path)[\(rank)]", reason: "\(shown) is no pair of tokens of model.vocab")
    }
}
