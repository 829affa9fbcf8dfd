import Synchronization

/// Converts text to token ids and back: byte-level byte-pair encoding, as in Hugging Face's `tokenizer.json`.
///
/// Every string can be encoded, and decoding restores it. Safe to use from several threads at once.
public final class Tokenizer: Sendable {
    /// A token that is matched in the text before anything else, such as `<|end|>`.
    public struct AddedToken: Sendable, Equatable {
        /// The token's id.
        public var id: Int32
        /// The text that stands for it.
        public var content: String
        /// Whether it is a structural marker rather than text.
        public var isSpecial: Bool

        /// Makes an added token.
        public init(id: Int32, content: String, isSpecial: Bool) {
            self.id = id
            self.content = content
            self.isSpecial = isSpecial
        }
    }

    /// How text is split into pieces before merging.
    enum PreTokenizer: Sendable, Equatable {
        /// Hugging Face's `ByteLevel` with GPT-2's pattern.
        case byteLevel
        /// A `Split` by this pattern, then `ByteLevel` without a pattern (Llama 3, Qwen 2).
        case split(pattern: String)
    }

    /// One more than the highest token id.
    public let vocabularySize: Int
    /// The added tokens, in order of id.
    public let addedTokens: [AddedToken]

    /// The bytes of each token id; nil where an id is unused or belongs to an added token only.
    let tokenBytes: [[UInt8]?]
    /// Ids of the merges, in order of rank.
    let merges: [(left: Int32, right: Int32)]
    let preTokenizer: PreTokenizer
    let addsPrefixSpace: Bool
    /// Whether a piece that is itself a token is used as is, instead of being merged from its bytes.
    let ignoresMerges: Bool

    private let table: MergeTable
    private let byteTokens: [Int32]
    private let wholePieces: [[UInt8]: Int32]
    private let pattern: PiecePattern
    private let matcher: AddedTokenMatcher
    private let addedByID: [Int32: AddedToken]
    private let cache = Mutex<[[UInt8]: [Int32]]>([:])
    /// Bounds of the cache, which is only an optimization: once full, it takes no more pieces.
    private static let (cacheLimit, cachedPieceLimit) = (20_000, 64)

    init(
        tokenBytes: [[UInt8]?],
        merges: [(left: Int32, right: Int32)],
        addedTokens: [AddedToken],
        preTokenizer: PreTokenizer = .byteLevel,
        addsPrefixSpace: Bool = false,
        ignoresMerges: Bool = false
    ) throws(TokenizerError) {
        self.tokenBytes = tokenBytes
        self.merges = merges
        self.addedTokens = addedTokens.sorted { $0.id < $1.id }
        self.preTokenizer = preTokenizer
        self.addsPrefixSpace = addsPrefixSpace
        self.ignoresMerges = ignoresMerges
        self.vocabularySize = max(tokenBytes.count, Int(self.addedTokens.last?.id ?? -1) + 1)

        var ids: [[UInt8]: Int32] = [:]
        for (id, bytes) in tokenBytes.enumerated() {
            if let bytes { ids[bytes] = Int32(id) }
        }
        var byteTokens: [Int32] = []
        for byte in UInt8.min...UInt8.max {
            guard let id = ids[[byte]] else {
                throw .malformed(
                    key: "model.vocab",
                    reason:
                        "no token for byte \(byte) (\(ByteAlphabet.text(of: [byte]))); a byte-level vocabulary has all 256"
                )
            }
            byteTokens.append(id)
        }
        var table = MergeTable()
        for (rank, merge) in merges.enumerated() {
            let joined = (tokenBytes[Int(merge.left)] ?? []) + (tokenBytes[Int(merge.right)] ?? [])
            guard let id = ids[joined] else {
                throw .malformed(
                    key: "model.merges[\(rank)]",
                    reason: "its result \(ByteAlphabet.text(of: joined)) is not in model.vocab"
                )
            }
            table.insert(left: merge.left, right: merge.right, rank: Int32(rank), token: id)
        }
        self.table = table
        self.byteTokens = byteTokens
        self.wholePieces = ignoresMerges ? ids : [:]
        self.matcher = AddedTokenMatcher(self.addedTokens)
        self.addedByID = Dictionary(self.addedTokens.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        switch preTokenizer {
        case .byteLevel: self.pattern = try PiecePattern(PiecePattern.gpt2)
        case .split(let source): self.pattern = try PiecePattern(source)
        }
    }

    /// The id of an added token; nil when there is no such token.
    public func id(of special: String) -> Int32? {
        addedTokens.first { $0.content.utf8.elementsEqual(special.utf8) }?.id
    }

    /// The token ids of a text.
    ///
    /// - Parameters:
    ///   - text: any text.
    ///   - matchesAddedTokens: whether an added token's text is encoded as that token. Pass false for user input, so
    ///     that nobody can inject structure into a prompt.
    /// - Returns: ids that `decode` turns back into the text.
    public func encode(_ text: String, matchesAddedTokens: Bool = true) -> [Int32] {
        let bytes = Array(text.utf8)
        var ids: [Int32] = []
        ids.reserveCapacity(bytes.count / 3 + 1)
        guard matchesAddedTokens else {
            encodePlain(bytes[...], into: &ids)
            return ids
        }
        var start = 0
        while let match = matcher.firstMatch(in: bytes, from: start) {
            encodePlain(bytes[start..<match.start], into: &ids)
            ids.append(match.id)
            start = match.end
        }
        encodePlain(bytes[start...], into: &ids)
        return ids
    }

    /// The text of token ids; bytes that are not valid UTF-8 become U+FFFD.
    ///
    /// - Parameters:
    ///   - ids: token ids; unknown ids are skipped.
    ///   - skipsSpecialTokens: whether special tokens are skipped.
    /// - Returns: the text.
    public func decode(_ ids: [Int32], skipsSpecialTokens: Bool = false) -> String {
        var bytes: [UInt8] = []
        for id in ids { bytes += self.bytes(of: id, skipsSpecialTokens: skipsSpecialTokens) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes that one token stands for; empty for an unknown id.
    public func bytes(of id: Int32, skipsSpecialTokens: Bool = false) -> [UInt8] {
        if let added = addedByID[id] { return added.isSpecial && skipsSpecialTokens ? [] : Array(added.content.utf8) }
        guard id >= 0, Int(id) < tokenBytes.count else { return [] }
        return tokenBytes[Int(id)] ?? []
    }

    private func encodePlain(_ bytes: ArraySlice<UInt8>, into ids: inout [Int32]) {
        guard let first = bytes.first else { return }
        let text = addsPrefixSpace && first != UInt8(ascii: " ") ? ([UInt8(ascii: " ")] + bytes)[...] : bytes
        pattern.forEachPiece(of: text) { ids += tokens(ofPiece: Array($0)) }
    }

    private func tokens(ofPiece piece: [UInt8]) -> [Int32] {
        if ignoresMerges, let id = wholePieces[piece] { return [id] }
        guard piece.count <= Self.cachedPieceLimit else { return merged(piece) }
        if let known = cache.withLock({ $0[piece] }) { return known }
        let tokens = merged(piece)
        cache.withLock { if $0.count < Self.cacheLimit { $0[piece] = tokens } }
        return tokens
    }

    private func merged(_ piece: [UInt8]) -> [Int32] {
        table.apply(to: piece.map { byteTokens[Int($0)] })
    }
}
