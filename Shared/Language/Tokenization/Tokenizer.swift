import Synchronization

/// Converts text to token ids and back: byte-level byte-pair encoding, as in Hugging Face's `tokenizer.json`.
///
/// The ids of any text are those of `tokenizers` 0.23. Where the vocabulary has a token for each byte, decoding restores
/// every text; bytes without one (published vocabularies lack some control characters) are left out, as there. Decoding
/// writes an added token as it is, where `tokenizers` reads characters beyond ASCII in it as bytes.
/// Safe to use from several threads at once.
public final class Tokenizer: Sendable {
    /// Tokens that are put before and after a text as a whole (`TemplateProcessing`).
    struct Frame: Sendable, Equatable {
        var before: [Int32] = []
        var after: [Int32] = []
    }

    /// One more than the highest token id.
    public let vocabularySize: Int
    /// The added tokens, in order of id.
    public let addedTokens: [AddedToken]

    let vocabulary: Vocabulary
    /// Ids of the merges, in order of rank.
    let merges: [(left: Int32, right: Int32)]
    let normalizer: Normalizer
    let preTokenizer: PreTokenizer
    let frame: Frame
    /// Whether a piece that is itself a token is used as is, instead of being merged from its bytes.
    let ignoresMerges: Bool

    private let table: MergeTable
    /// The token of each byte; -1 where there is none.
    private let byteTokens: [Int32]
    private let matcher: AddedTokenMatcher
    private let normalizedMatcher: AddedTokenMatcher
    private let addedByID: [Int32: AddedToken]
    private let cache = Mutex(PieceCache())

    init(
        tokenBytes: [[UInt8]?],
        merges: [(left: Int32, right: Int32)],
        addedTokens: [AddedToken],
        normalizer: Normalizer = .none,
        preTokenizer: PreTokenizer? = nil,
        frame: Frame = Frame(),
        ignoresMerges: Bool = false
    ) throws(TokenizerError) {
        let vocabulary = Vocabulary(tokenBytes)
        self.vocabulary = vocabulary
        self.merges = merges
        self.addedTokens = addedTokens.sorted { $0.id < $1.id }
        self.normalizer = normalizer
        if let preTokenizer { self.preTokenizer = preTokenizer } else { self.preTokenizer = try PreTokenizer() }
        self.frame = frame
        self.ignoresMerges = ignoresMerges
        self.vocabularySize = max(tokenBytes.count, Int(self.addedTokens.last?.id ?? -1) + 1)
        byteTokens = (UInt8.min...UInt8.max).map { vocabulary.id(of: [$0]) ?? -1 }

        var table = MergeTable(count: merges.count)
        for (rank, merge) in merges.enumerated() {
            let joined = (tokenBytes[Int(merge.left)] ?? []) + (tokenBytes[Int(merge.right)] ?? [])
            guard let id = vocabulary.id(of: joined) else {
                throw .malformed(
                    key: "model.merges[\(rank)]",
                    reason: "its result \(ByteAlphabet.text(of: joined)) is not in model.vocab"
                )
            }
            table.insert(left: merge.left, right: merge.right, rank: Int32(rank), token: id)
        }
        self.table = table
        // Of two tokens that the normalizer makes equal the special one is found.
        let inOrder = self.addedTokens.filter(\.isSpecial) + self.addedTokens.filter { !$0.isSpecial }
        matcher = AddedTokenMatcher(inOrder.filter { !$0.isNormalized })
        normalizedMatcher = AddedTokenMatcher(inOrder.filter(\.isNormalized), normalizer: normalizer)
        addedByID = Dictionary(self.addedTokens.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The id of an added token; nil when there is no such token.
    public func id(of special: String) -> Int32? { addedToken(special)?.id }

    /// The added token of this content; nil when there is none.
    public func addedToken(_ content: String) -> AddedToken? {
        addedTokens.first { $0.content.utf8.elementsEqual(content.utf8) }
    }

    /// Whether an id belongs to a token.
    func hasToken(_ id: Int32) -> Bool {
        if addedByID[id] != nil { return true }
        return vocabulary.tokenBytes.indices.contains(Int(id)) && vocabulary.tokenBytes[Int(id)] != nil
    }

    /// The token ids of a text.
    ///
    /// - Parameters:
    ///   - text: any text.
    ///   - matchesAddedTokens: whether an added token's text is encoded as that token. Pass false for user input, so
    ///     that nobody can inject structure into a prompt.
    ///   - addsSpecialTokens: whether the tokens that the file puts before and after a text are put there, such as
    ///     Llama 3's `<|begin_of_text|>`. A chat template writes them itself.
    /// - Returns: ids that `decode` turns back into the text, as far as the type's description says.
    /// - Complexity: O(n log n) in the text's bytes, whatever the text.
    public func encode(
        _ text: String,
        matchesAddedTokens: Bool = true,
        addsSpecialTokens: Bool = false
    ) -> [Int32] {
        let bytes = Array(text.utf8)
        var ids: [Int32] = addsSpecialTokens ? frame.before : []
        ids.reserveCapacity(bytes.count / 3 + 4)
        if matchesAddedTokens {
            for part in matcher.parts(of: bytes) {
                if let id = part.id {
                    ids.append(id)
                } else {
                    encodeNormalized(normalizer.normalized(bytes[part.range]) ?? Array(bytes[part.range]), into: &ids)
                }
            }
        } else {
            encodePlain(normalizer.normalized(bytes[...]) ?? bytes, into: &ids)
        }
        if addsSpecialTokens { ids += frame.after }
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
        guard id >= 0, Int(id) < vocabulary.tokenBytes.count else { return [] }
        return vocabulary.tokenBytes[Int(id)] ?? []
    }

    /// Text after the normalizer, in which only the added tokens are left that are looked for there.
    private func encodeNormalized(_ text: [UInt8], into ids: inout [Int32]) {
        for part in normalizedMatcher.parts(of: text) {
            if let id = part.id {
                ids.append(id)
            } else if part.range.count == text.count {
                encodePlain(text, into: &ids)
            } else {
                encodePlain(Array(text[part.range]), into: &ids)
            }
        }
    }

    private func encodePlain(_ text: [UInt8], into ids: inout [Int32]) {
        preTokenizer.forEachPiece(of: text) { appendTokens(of: $0, to: &ids) }
    }

    private func appendTokens(of piece: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
        if ignoresMerges, let id = vocabulary.id(of: piece) { return ids.append(id) }
        guard piece.count <= PieceCache.longestPiece else { return ids += merged(piece) }
        let hash = ByteHash.hash(piece)
        if cache.withLock({ $0.append(piece, hash, to: &ids) }) { return }
        let tokens = merged(piece)
        cache.withLock { $0.insert(piece, hash, tokens) }
        ids += tokens
    }

    private func merged(_ piece: UnsafeBufferPointer<UInt8>) -> [Int32] {
        var tokens = piece.map { byteTokens[Int($0)] }
        if tokens.contains(-1) { tokens.removeAll { $0 < 0 } }
        return table.apply(to: tokens)
    }
}
