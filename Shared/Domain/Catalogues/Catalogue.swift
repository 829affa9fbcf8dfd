public import Bytes

/// An item that events can be about.
public struct CatalogueItem: Codable, Sendable, Hashable {
    /// The item's id, as events name it.
    public var id: ItemID
    /// Its title, as answers name it.
    public var title: String
    /// Its categories (of a film: genres), in the data set's order.
    public var categories: [String]

    /// Makes an item.
    public init(id: ItemID, title: String, categories: [String]) {
        self.id = id
        self.title = title
        self.categories = categories
    }
}

/// All items a model knows, numbered from 0 in a fixed order, with their categories.
public struct Catalogue: Encodable, Sendable, Equatable {
    /// The items; an item's index is its number everywhere in the model.
    public let items: [CatalogueItem]
    /// The distinct categories of all items, sorted.
    public let categories: [String]
    /// The categories of each item as indices into `categories`.
    public let categoryIndices: [[Int]]

    private let itemIndex: [ItemID: Int]
    private let categoryIndex: [TextKey: Int]

    /// Makes a catalogue.
    ///
    /// - Throws: `CatalogueError` when an id is empty or given twice.
    public init(items: [CatalogueItem]) throws(CatalogueError) {
        var itemIndex: [ItemID: Int] = [:]
        for (index, item) in items.enumerated() {
            guard !item.id.text.isEmpty else {
                throw CatalogueError(field: "id", value: "", reason: "is empty for the item \"\(item.title)\"")
            }
            if let first = itemIndex.updateValue(index, forKey: item.id) {
                throw CatalogueError(
                    field: "id",
                    value: item.id.text,
                    reason: "is given to two items: \"\(items[first].title)\" and \"\(item.title)\""
                )
            }
        }
        let categories = Set(items.flatMap(\.categories).map { TextKey($0) }).sorted()
        let categoryIndex = Dictionary(uniqueKeysWithValues: categories.enumerated().map { ($1, $0) })
        self.items = items
        self.categories = categories.map(\.text)
        self.categoryIndices = items.map { $0.categories.compactMap { categoryIndex[TextKey($0)] } }
        self.itemIndex = itemIndex
        self.categoryIndex = categoryIndex
    }

    /// How many items there are.
    public var count: Int { items.count }

    /// The index of the item with this id; nil when the catalogue does not have it.
    public func index(of id: ItemID) -> Int? { itemIndex[id] }

    /// The item with this id; nil when the catalogue does not have it.
    public func item(_ id: ItemID) -> CatalogueItem? { itemIndex[id].map { items[$0] } }

    /// The index of a category in `categories`; nil when no item has it.
    public func categoryIndex(of name: String) -> Int? { categoryIndex[TextKey(name)] }

    private enum CodingKeys: String, CodingKey { case items }

    /// Writes the items; everything else follows from them.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
    }
}
