/// Trains a byte-level BPE vocabulary by repeatedly merging the most frequent pair of adjacent tokens.
public enum BPETrainer {
    /// Trains a tokenizer on texts.
    ///
    /// The same texts give the same tokenizer.
    /// Ids: the special tokens in the given order, the 256 bytes in the order of their characters, then the merges in
    /// the order they were made. Ties between equally frequent pairs go to the pair with the smaller ids.
    ///
    /// - Parameters:
    ///   - texts: the training corpus.
    ///   - vocabularySize: the maximum number of tokens, including special tokens and bytes.
    ///   - specialTokens: structural markers, distinct and not empty.
    ///   - minimumCount: pairs seen less often are never merged, so the vocabulary may be smaller than requested.
    /// - Returns: a tokenizer with GPT-2's pre-tokenization.
    /// - Throws: `TokenizerError.configuration` when the size is too small for the bytes and special tokens.
    public static func train(
        _ texts: some Sequence<String>,
        vocabularySize: Int,
        specialTokens: [String] = [],
        minimumCount: Int = 2
    ) throws(TokenizerError) -> Tokenizer {
        let base = specialTokens.count + 256
        guard vocabularySize >= base else {
            throw .configuration(
                "vocabulary size \(vocabularySize) is too small; \(specialTokens.count) special tokens and 256 bytes need \(base)"
            )
        }
        guard Set(specialTokens).count == specialTokens.count, !specialTokens.contains("") else {
            throw .configuration("special tokens must be distinct and not empty: \(specialTokens)")
        }
        var tokenBytes: [[UInt8]?] = specialTokens.map { _ in nil }
        var byteTokens = [Int32](repeating: 0, count: 256)
        let alphabet = ByteAlphabet.characters.enumerated().sorted { $0.element < $1.element }
        for (byte, _) in alphabet {
            byteTokens[byte] = Int32(tokenBytes.count)
            tokenBytes.append([UInt8(byte)])
        }
        var state = PairCounts(words: try words(of: texts, byteTokens: byteTokens))
        var merges: [(left: Int32, right: Int32)] = []
        var seen: [[UInt8]: Int32] = [:]
        while tokenBytes.count < vocabularySize, let pair = state.mostFrequent(atLeast: max(1, minimumCount)) {
            let bytes = (tokenBytes[Int(pair.left)] ?? []) + (tokenBytes[Int(pair.right)] ?? [])
            // Two different merges may spell the same bytes; they are one token.
            let token = seen[bytes] ?? Int32(tokenBytes.count)
            if seen[bytes] == nil {
                seen[bytes] = token
                tokenBytes.append(bytes)
            }
            merges.append(pair)
            state.merge(pair, into: token)
        }
        let added = specialTokens.enumerated().map {
            Tokenizer.AddedToken(id: Int32($0.offset), content: $0.element, isSpecial: true)
        }
        return try Tokenizer(tokenBytes: tokenBytes, merges: merges, addedTokens: added)
    }

    /// The distinct pieces of all texts with their counts, in a fixed order.
    private static func words(
        of texts: some Sequence<String>,
        byteTokens: [Int32]
    ) throws(TokenizerError) -> [PairCounts.Word] {
        let preTokenizer = try PreTokenizer()
        var counts: [[UInt8]: Int] = [:]
        for text in texts {
            preTokenizer.forEachPiece(of: Array(text.utf8)) { counts[Array($0), default: 0] += 1 }
        }
        return counts.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { PairCounts.Word(tokens: $0.key.map { byteTokens[Int($0)] }, count: $0.value) }
    }
}

/// How often each pair of adjacent tokens occurs, kept up to date while pairs are merged.
private struct PairCounts {
    struct Word {
        var tokens: [Int32]
        var count: Int
    }

    private struct Entry {
        var key: UInt64
        var count: Int
    }

    private var words: [Word]
    private var counts: [UInt64: Int] = [:]
    /// Words in which a pair occurs or used to occur.
    private var places: [UInt64: Set<Int32>] = [:]
    /// May hold stale counts; they are corrected when they reach the front.
    private var queue = MergeQueue<Entry> { ($1.count, $0.key) < ($0.count, $1.key) }

    init(words: [Word]) {
        self.words = words
        for (index, word) in words.enumerated() {
            for (left, right) in zip(word.tokens, word.tokens.dropFirst()) {
                let key = MergeTable.key(left, right)
                counts[key, default: 0] += word.count
                places[key, default: []].insert(Int32(index))
            }
        }
        for (key, count) in counts { queue.insert(Entry(key: key, count: count)) }
    }

    mutating func mostFrequent(atLeast minimum: Int) -> (left: Int32, right: Int32)? {
        while let entry = queue.popFirst() {
            let count = counts[entry.key] ?? 0
            if count != entry.count {
                if count > 0 { queue.insert(Entry(key: entry.key, count: count)) }
                continue
            }
            guard count >= minimum else { return nil }
            return (
                Int32(bitPattern: UInt32(truncatingIfNeeded: entry.key >> 32)),
                Int32(bitPattern: UInt32(truncatingIfNeeded: entry.key))
            )
        }
        return nil
    }

    mutating func merge(_ pair: (left: Int32, right: Int32), into token: Int32) {
        let key = MergeTable.key(pair.left, pair.right)
        var changed: Set<UInt64> = []
        for index in (places.removeValue(forKey: key) ?? []).sorted() {
            let word = words[Int(index)]
            let tokens = Self.replacing(pair, by: token, in: word.tokens)
            guard tokens.count < word.tokens.count else { continue }
            for (left, right) in zip(word.tokens, word.tokens.dropFirst()) {
                counts[MergeTable.key(left, right), default: 0] -= word.count
            }
            for (left, right) in zip(tokens, tokens.dropFirst()) {
                let neighbour = MergeTable.key(left, right)
                counts[neighbour, default: 0] += word.count
                if left == token || right == token {
                    places[neighbour, default: []].insert(index)
                    changed.insert(neighbour)
                }
            }
            words[Int(index)].tokens = tokens
        }
        counts[key] = nil
        for key in changed { queue.insert(Entry(key: key, count: counts[key] ?? 0)) }
    }

    private static func replacing(_ pair: (left: Int32, right: Int32), by token: Int32, in tokens: [Int32]) -> [Int32] {
        var result: [Int32] = []
        result.reserveCapacity(tokens.count)
        var index = 0
        while index < tokens.count {
            if index + 1 < tokens.count, tokens[index] == pair.left, tokens[index + 1] == pair.right {
                result.append(token)
                index += 2
            } else {
                result.append(tokens[index])
                index += 1
            }
        }
        return result
    }
}
