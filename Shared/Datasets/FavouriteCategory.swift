extension Catalogue {
    /// The most frequent categories among items.
    ///
    /// - Parameter items: indices of items, oldest first.
    /// - Returns: indices into `categories` of all that are equally most frequent, the one seen last first; empty when
    ///   no item has a category.
    public func favouriteCategories(of items: some Sequence<Int>) -> [Int] {
        var counts = [Int](repeating: 0, count: categories.count)
        var lastSeen = [Int](repeating: -1, count: categories.count)
        for (position, item) in items.enumerated() {
            for category in categoryIndices[item] {
                counts[category] += 1
                lastSeen[category] = position
            }
        }
        guard let most = counts.max(), most > 0 else { return [] }
        return counts.indices.filter { counts[$0] == most }
            .sorted { (lastSeen[$1], $0) < (lastSeen[$0], $1) }
    }
}
