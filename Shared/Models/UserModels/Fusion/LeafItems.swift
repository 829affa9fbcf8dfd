/// The items below the leaves of a tree, whose values below a number are items and whose others are none.
struct LeafItems: Sendable {
    let tree: PrefixTree
    let itemCount: Int
    /// The items of leaf n are at offsets[n]..<offsets[n + 1].
    private let offsets: [Int32]
    /// The items in the order of their leaves; one whose title is empty is missing.
    let items: [Int32]
    /// How many of the leaves before each one are more than items.
    private let otherCounts: [Int32]

    /// Maps `itemCount` items to a tree.
    init(tree: PrefixTree, itemCount: Int) {
        self.tree = tree
        self.itemCount = itemCount
        var offsets: [Int32] = [0]
        var items: [Int32] = []
        var others: [Int32] = [0]
        for leaf in 0..<tree.leafCount {
            let values = tree.values(ofLeaf: leaf)
            for value in values where value < itemCount { items.append(Int32(value)) }
            offsets.append(Int32(items.count))
            others.append(others[leaf] + (values.contains { $0 >= itemCount } ? 1 : 0))
        }
        self.offsets = offsets
        self.items = items
        otherCounts = others
    }

    /// The places of the items of some leaves in `items`.
    func places(ofLeaves leaves: Range<Int>) -> Range<Int> {
        Int(offsets[leaves.lowerBound])..<Int(offsets[leaves.upperBound])
    }

    /// The items of a leaf.
    func items(ofLeaf leaf: Int) -> ArraySlice<Int32> { items[places(ofLeaves: leaf..<leaf + 1)] }

    /// Whether all leaves below a node are items and nothing else.
    func hasOnlyItems(below node: PrefixTree.Node) -> Bool {
        let leaves = tree.leaves(below: node)
        return otherCounts[leaves.lowerBound] == otherCounts[leaves.upperBound]
    }
}
