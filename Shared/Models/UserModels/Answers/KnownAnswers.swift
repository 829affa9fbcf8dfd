public import Catalogues

/// The possible answers from a catalogue: its titles and its categories, as prefix trees.
///
/// Items whose titles have the same tokens share a leaf. An answer that is that title names all of them: with an
/// encoder's say in the order of its scores, each with its share of the title's probability; without, in the catalogue's
/// order, each with the probability of the title.
///
/// A text without tokens is no answer, nor is one in which the token that ends an answer stands.
public struct KnownAnswers: Sendable {
    /// The titles of all items; values are item indices.
    public let titles: PrefixTree
    /// The names of all categories; values are category indices.
    public let categories: PrefixTree
    /// Titles and category names together; values below the number of items are items, the others categories.
    public let all: PrefixTree

    /// Token count of the longest answer, including the end token.
    public let longest: Int

    /// How many items are never an answer, because their title is none.
    public let untitledItemCount: Int
    /// How many items share their title's tokens with another item.
    public let sharedTitleItemCount: Int

    private let itemCount: Int
    private let titleTokens: [[Int32]]
    private let categoryTokens: [[Int32]]

    /// Builds the trees of a catalogue.
    public init(catalogue: Catalogue, categoryNames: [String], format: PromptFormat) {
        itemCount = catalogue.items.count
        titleTokens = catalogue.items.map { Self.tokens($0.title, format) }
        categoryTokens = categoryNames.map { Self.tokens($0, format) }
        longest = 1 + ((titleTokens + categoryTokens).map(\.count).max() ?? 0)
        titles = PrefixTree(sequences: titleTokens, end: format.end)
        categories = PrefixTree(sequences: categoryTokens, end: format.end)
        all = PrefixTree(sequences: titleTokens + categoryTokens, end: format.end)
        untitledItemCount = titleTokens.count(where: \.isEmpty)
        let titles = titles
        sharedTitleItemCount = (0..<titles.leafCount).reduce(0) { count, leaf in
            let items = titles.values(ofLeaf: leaf).count
            return count + (items > 1 ? items : 0)
        }
    }

    /// Tokens of an answer; none when it would end before its end.
    private static func tokens(_ text: String, _ format: PromptFormat) -> [Int32] {
        let tokens = format.answer(text)
        return tokens.contains(format.end) ? [] : tokens
    }

    /// Positions that a short question takes with the longest answer.
    var leastPositions: Int { longest + 8 }

    /// Tokens of an item's title, without the end token; none for an item that is never an answer.
    public func tokens(ofTitle item: Int) -> [Int32] { titleTokens[item] }

    /// Tokens of a category's name, without the end token; none for one that is never an answer.
    public func tokens(ofCategory category: Int) -> [Int32] { categoryTokens[category] }
}
