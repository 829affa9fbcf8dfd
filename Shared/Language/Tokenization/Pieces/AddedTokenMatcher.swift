/// Finds added tokens in text: leftmost match first, and the longest one at each position.
///
/// A byte trie, so the cost of a text does not grow with the number of tokens.
struct AddedTokenMatcher: Sendable {
    /// A part of a text: an added token, or text between two of them.
    struct Part: Equatable {
        var range: Range<Int>
        /// The added token; nil for text.
        var id: Int32?
    }

    private struct Match {
        var range: Range<Int>
        var token: Tokenizer.AddedToken
    }

    private static let root = 0
    /// Maps a node and a byte to the child node.
    private var children: [UInt64: Int] = [:]
    /// The token that ends at each node, as its place in `tokens`.
    private var ends: [Int?] = [nil]
    private let tokens: [Tokenizer.AddedToken]
    /// Whether a token begins with a byte.
    private var begins = [Bool](repeating: false, count: 256)

    /// Makes a matcher.
    ///
    /// - Parameters:
    ///   - tokens: the tokens; of two that are written the same way the first one is found.
    ///   - normalizer: changes how the tokens are written before they are looked for.
    init(_ tokens: [Tokenizer.AddedToken], normalizer: Normalizer = .none) {
        self.tokens = tokens
        for (index, token) in tokens.enumerated() {
            let content = Array(token.content.utf8)
            let bytes = normalizer.normalized(content[...]) ?? content
            guard let first = bytes.first else { continue }
            begins[Int(first)] = true
            var node = Self.root
            for byte in bytes {
                let key = Self.key(node, byte)
                if let child = children[key] {
                    node = child
                } else {
                    children[key] = ends.count
                    node = ends.count
                    ends.append(nil)
                }
            }
            if ends[node] == nil { ends[node] = index }
        }
    }

    /// Divides a text into added tokens and what is between them, as `tokenizers` does.
    ///
    /// Next to a token that takes white space along, a part may begin before the one in front of it ends, where another
    /// token begins within that white space.
    func parts(of text: [UInt8]) -> [Part] {
        var parts: [Part] = []
        var (place, textStart) = (0, 0)
        while let match = firstMatch(in: text, from: place) {
            place = match.range.upperBound
            var (start, end) = (match.range.lowerBound, match.range.upperBound)
            if match.token.isSingleWord, Self.isWord(text, before: start) || Self.isWord(text, from: end) { continue }
            if match.token.stripsLeft { start = max(Self.spaceStart(text, before: start), textStart) }
            if match.token.stripsRight { end = Self.spaceEnd(text, from: end) }
            if textStart < start { parts.append(Part(range: textStart..<start, id: nil)) }
            parts.append(Part(range: start..<end, id: match.token.id))
            textStart = end
        }
        if textStart < text.count { parts.append(Part(range: textStart..<text.count, id: nil)) }
        return parts
    }

    private func firstMatch(in text: [UInt8], from start: Int) -> Match? {
        guard !children.isEmpty else { return nil }
        for position in start..<max(start, text.count) where begins[Int(text[position])] {
            var (node, longest): (Int, Match?) = (Self.root, nil)
            for index in position..<text.count {
                guard let child = children[Self.key(node, text[index])] else { break }
                node = child
                if let token = ends[node] { longest = Match(range: position..<(index + 1), token: tokens[token]) }
            }
            if let longest { return longest }
        }
        return nil
    }

    private static func key(_ node: Int, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 | UInt64(byte) }

    // MARK: - Characters beside a token

    private static func isWord(_ text: [UInt8], before end: Int) -> Bool {
        guard let start = lastCharacter(text, before: end) else { return false }
        return scalar(text[start..<end]).map(isWord) ?? false
    }

    private static func isWord(_ text: [UInt8], from start: Int) -> Bool {
        scalar(text[start...].prefix(4)).map(isWord) ?? false
    }

    /// Where the white space that ends at `end` begins.
    private static func spaceStart(_ text: [UInt8], before end: Int) -> Int {
        var place = end
        while let start = lastCharacter(text, before: place), let scalar = scalar(text[start..<place]),
            scalar.properties.isWhitespace
        {
            place = start
        }
        return place
    }

    /// Where the white space that begins at `start` ends.
    private static func spaceEnd(_ text: [UInt8], from start: Int) -> Int {
        var place = start
        while let scalar = scalar(text[place...].prefix(4)), scalar.properties.isWhitespace {
            place += UTF8.width(scalar)
        }
        return place
    }

    private static func lastCharacter(_ text: [UInt8], before end: Int) -> Int? {
        guard end > 0 else { return nil }
        var start = end - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    /// The first character of valid UTF-8.
    private static func scalar(_ bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
        var (iterator, decoder) = (bytes.makeIterator(), UTF8())
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
        return scalar
    }

    /// Whether a character belongs to a word: `\w` of Unicode's regular expressions (UTS #18, annex C).
    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { return true }
        return switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
        default: false
        }
    }
}
