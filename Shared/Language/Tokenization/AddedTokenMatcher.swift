/// Finds added tokens in text: leftmost match first, and the longest one at each position.
///
/// A byte trie, so the cost of a text does not grow with the number of tokens.
struct AddedTokenMatcher: Sendable {
    /// Where an added token was found.
    struct Match: Equatable {
        var start: Int
        var end: Int
        var id: Int32
    }

    private static let root = 0
    /// Maps a node and a byte to the child node.
    private var children: [UInt64: Int] = [:]
    /// The token that ends at each node.
    private var ends: [Int32?] = [nil]

    init(_ tokens: [Tokenizer.AddedToken]) {
        for token in tokens where !token.content.isEmpty {
            var node = Self.root
            for byte in token.content.utf8 {
                let key = Self.key(node, byte)
                if let child = children[key] {
                    node = child
                } else {
                    children[key] = ends.count
                    node = ends.count
                    ends.append(nil)
                }
            }
            ends[node] = token.id
        }
    }

    func firstMatch(in text: [UInt8], from start: Int) -> Match? {
        guard !children.isEmpty else { return nil }
        for position in start..<max(start, text.count) {
            var (node, longest): (Int, Match?) = (Self.root, nil)
            for index in position..<text.count {
                guard let child = children[Self.key(node, text[index])] else { break }
                node = child
                if let id = ends[node] { longest = Match(start: position, end: index + 1, id: id) }
            }
            if let longest { return longest }
        }
        return nil
    }

    private static func key(_ node: Int, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 | UInt64(byte) }
}
