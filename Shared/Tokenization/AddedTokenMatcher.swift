/// Finds added tokens in text: the leftmost, and of those that start there the longest.
struct AddedTokenMatcher: Sendable {
    /// An added token's place.
    struct Match: Equatable {
        var start: Int
        var end: Int
        var id: Int32
    }

    /// Contents and ids by first byte, longest first.
    private var candidates: [[(content: [UInt8], id: Int32)]] = Array(repeating: [], count: 256)
    private let isEmpty: Bool

    init(_ tokens: [Tokenizer.AddedToken]) {
        isEmpty = tokens.isEmpty
        for token in tokens.sorted(by: { ($1.content.utf8.count, $0.id) < ($0.content.utf8.count, $1.id) }) {
            let content = Array(token.content.utf8)
            if let first = content.first { candidates[Int(first)].append((content, token.id)) }
        }
    }

    func firstMatch(in text: [UInt8], from start: Int) -> Match? {
        guard !isEmpty else { return nil }
        for position in start..<max(start, text.count) {
            for (content, id) in candidates[Int(text[position])] where text[position...].starts(with: content) {
                return Match(start: position, end: position + content.count, id: id)
            }
        }
        return nil
    }
}
