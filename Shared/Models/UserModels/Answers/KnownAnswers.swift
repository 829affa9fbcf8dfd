public import Catalogues

/// The possible answers from a catalogue: its titles and its categories, as prefix trees.
public struct KnownAnswers: Sendable {
    /// The titles of all items; values are item indices.
    public let titles: PrefixTree
    /// The names of all categories; values are category indices.
    public let categories: PrefixTree
    /// Titles and category names together; values below the number of items are items, the others categories.
    public let all: PrefixTree

    /// Token count of the longest answer, including the end token.
    public let longest: Int

    private let itemCount: Int
    private let titleTokens: [[Int32]]
    private let categoryTokens: [[Int32]]

    /// Builds the trees of a catalogue.
    public init(catalogue: Catalogue, categoryNames: [String], format: PromptFormat) {
        itemCount = catalogue.items.count
        titleTokens = catalogue.items.map { format.answer($0.title) }
        categoryTokens = categoryNames.map { format.answer($0) }
        longest = 1 + ((titleTokens + categoryTokens).map(\.count).max() ?? 0)
        titles = PrefixTree(sequences: titleTokens, end: format.end)
        categories = PrefixTree(sequences: categoryTokens, end: format.end)
        all = PrefixTree(sequences: titleTokens + categoryTokens, end: format.end)
    }

    /// Tokens of an item's title, without the end token.
    public func tokens(ofTitle item: Int) -> [Int32] { titleTokens[item] }

    /// Tokens of a category's name, without the end token.
    public func tokens(ofCategory category: Int) -> [Int32] { categoryTokens[category] }
}
