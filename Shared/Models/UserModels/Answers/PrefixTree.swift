import LanguageEngine

/// A prefix tree (trie) of token sequences: every answer that constrained decoding may give.
///
/// Each sequence ends with the end-of-answer token, so one may be a prefix of another. Equal sequences share a leaf,
/// which then has several values, in ascending order.
public struct PrefixTree: Sendable {
    /// A node of the tree; `root` is before the first token.
    public typealias Node = Int32

    /// The node before the first token.
    public static let root: Node = 0

    /// The end-of-answer token that closes every sequence.
    public let end: Int32

    // The children of node n are at childOffsets[n]..<childOffsets[n + 1], in ascending order of tokens.
    private let childOffsets: [Int32]
    private let childTokens: [Int32]
    private let childNodes: [Node]
    private let parents: [Node]
    private let leafCounts: [Int32]
    /// The lowest-numbered leaf below each node.
    private let firstLeaves: [Int32]
    /// How many of the nodes above each one have several children.
    private let branchDepths: [Int32]
    private let leafNodes: [Node]
    private let leafSequences: [[Int32]]
    private let leafValues: [[Int]]
    /// The depth of the last branching: at most this many tokens are read before an answer is determined.
    let forkDepth: Int
    /// The greatest number of tokens of a sequence, the end token included; 0 for an empty tree.
    let depth: Int
    /// One more than the greatest token; 0 for an empty tree.
    let tokenLimit: Int

    /// The tokens between which some node has a choice, in ascending order.
    let branchTokens: [Int32]

    /// Builds a tree.
    ///
    /// - Parameters:
    ///   - sequences: tokens of each answer, without the end token, which is in none of them; empty ones are skipped.
    ///   - end: the end-of-answer token.
    ///
    /// A sequence's value is its position in `sequences`.
    public init(sequences: [[Int32]], end: Int32) {
        self.end = end
        let order = sequences.indices.filter { !sequences[$0].isEmpty }.sorted {
            sequences[$0].lexicographicallyPrecedes(sequences[$1])
        }
        var children: [[(token: Int32, node: Node)]] = [[]]
        var parents: [Node] = [-1]
        var leafNodes: [Node] = []
        var leafSequences: [[Int32]] = []
        var leafValues: [[Int]] = []
        for value in order {
            if let last = leafSequences.last, last.dropLast().elementsEqual(sequences[value]) {
                leafValues[leafValues.count - 1].append(value)
                continue
            }
            var node = Self.root
            // Sequences are sorted, so a shared prefix is always the child that was added last.
            for token in sequences[value] + [end] {
                if let last = children[Int(node)].last, last.token == token {
                    node = last.node
                } else {
                    let child = Node(children.count)
                    children[Int(node)].append((token, child))
                    children.append([])
                    parents.append(node)
                    node = child
                }
            }
            leafNodes.append(node)
            leafSequences.append(sequences[value] + [end])
            leafValues.append([value])
        }
        var counts = [Int32](repeating: 0, count: children.count)
        var firsts = [Int32](repeating: -1, count: children.count)
        for (leaf, node) in leafNodes.enumerated() {
            var node = node
            while node >= 0 {
                if counts[Int(node)] == 0 { firsts[Int(node)] = Int32(leaf) }
                counts[Int(node)] += 1
                node = parents[Int(node)]
            }
        }
        var depths = [Int](repeating: 0, count: children.count)
        var branches = [Int32](repeating: 0, count: children.count)
        for (node, parent) in parents.enumerated() where parent >= 0 {
            depths[node] = depths[Int(parent)] + 1
            branches[node] = branches[Int(parent)] + (children[Int(parent)].count > 1 ? 1 : 0)
        }
        branchDepths = branches
        depth = depths.max() ?? 0
        tokenLimit = children.joined().reduce(0) { max($0, Int($1.token) + 1) }
        forkDepth = zip(depths, counts).reduce(0) { $1.1 > 1 ? max($0, $1.0) : $0 }
        var offsets: [Int32] = [0]
        var tokens: [Int32] = []
        var nodes: [Node] = []
        for list in children {
            // The end token may sort anywhere among a node's children.
            for child in list.sorted(by: { $0.token < $1.token }) {
                tokens.append(child.token)
                nodes.append(child.node)
            }
            offsets.append(Int32(tokens.count))
        }
        branchTokens = Set(children.lazy.filter { $0.count > 1 }.joined().map(\.token)).sorted()
        childOffsets = offsets
        childTokens = tokens
        childNodes = nodes
        self.parents = parents
        leafCounts = counts
        firstLeaves = firsts
        self.leafNodes = leafNodes
        self.leafSequences = leafSequences
        // Sorting promises no order of equal sequences.
        self.leafValues = leafValues.map { $0.sorted() }
    }

    /// Number of distinct sequences.
    public var leafCount: Int { leafNodes.count }

    /// The tokens that may follow, in ascending order; empty at a leaf.
    public func tokens(after node: Node) -> ArraySlice<Int32> { childTokens[range(node)] }

    /// The nodes that `tokens(after:)` lead to, in the same order.
    public func nodes(after node: Node) -> ArraySlice<Node> { childNodes[range(node)] }

    /// The node after one more token; nil when no sequence continues that way.
    public func node(after node: Node, token: Int32) -> Node? {
        // Binary search: the root of a large catalogue has thousands of children.
        var low = Int(childOffsets[Int(node)])
        var high = Int(childOffsets[Int(node) + 1])
        while low < high {
            let middle = (low + high) / 2
            if childTokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        return low < Int(childOffsets[Int(node) + 1]) && childTokens[low] == token ? childNodes[low] : nil
    }

    /// The position of one of the `branchTokens`.
    func branchColumn(_ token: Int32) -> Int32 {
        var (low, high) = (0, branchTokens.count)
        while low < high {
            let middle = (low + high) / 2
            if branchTokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        precondition(low < branchTokens.count && branchTokens[low] == token, "the token \(token) is never a choice")
        return Int32(low)
    }

    /// How many distinct sequences pass through a node.
    public func leafCount(below node: Node) -> Int { Int(leafCounts[Int(node)]) }

    /// How many branches were passed on the way to a node: nodes above it with several children.
    public func branchDepth(of node: Node) -> Int { Int(branchDepths[Int(node)]) }

    /// The leaves below a node; their numbers are contiguous.
    public func leaves(below node: Node) -> Range<Int> {
        let first = Int(firstLeaves[Int(node)])
        return first..<first + Int(leafCounts[Int(node)])
    }

    /// The only sequence through a node; nil when there are several.
    public func onlyLeaf(below node: Node) -> Int? {
        leafCounts[Int(node)] == 1 ? Int(firstLeaves[Int(node)]) : nil
    }

    /// The node of a leaf.
    public func node(ofLeaf leaf: Int) -> Node { leafNodes[leaf] }

    /// The parent of a node; nil at the root.
    public func parent(of node: Node) -> Node? { parents[Int(node)] < 0 ? nil : parents[Int(node)] }

    /// The tokens of a leaf, including the end token.
    public func sequence(ofLeaf leaf: Int) -> [Int32] { leafSequences[leaf] }

    /// Positions, in the list the tree was built from, of the answers with a leaf's tokens, ascending.
    public func values(ofLeaf leaf: Int) -> [Int] { leafValues[leaf] }

    /// The nodes at which each token of an answer is chosen.
    ///
    /// - Parameter sequence: tokens of an answer of this tree, with or without the end token.
    /// - Returns: the nodes before each token; nil when the tree does not have the answer.
    public func path(of sequence: [Int32]) -> [Node]? {
        var node = Self.root
        var nodes: [Node] = []
        for token in sequence {
            guard let next = self.node(after: node, token: token) else { return nil }
            nodes.append(node)
            node = next
        }
        return nodes
    }

    private func range(_ node: Node) -> Range<Int> {
        Int(childOffsets[Int(node)])..<Int(childOffsets[Int(node) + 1])
    }
}

/// A tree with some of its leaves removed, for one answer.
struct RestrictedTree: TokenTree {
    let tree: PrefixTree
    /// What an encoder says about the leaves; nil for nothing.
    var prior: EncoderPrior?
    /// The leaves that are removed, ascending.
    private let removedLeaves: [Int]

    /// Removes leaves that may not be the answer.
    init(_ tree: PrefixTree, without leaves: Set<Int> = []) {
        self.tree = tree
        removedLeaves = leaves.sorted()
    }

    var root: PrefixTree.Node { PrefixTree.root }
    var depth: Int { tree.depth }
    var tokenLimit: Int { tree.tokenLimit }

    /// How many leaves remain below a node.
    func leafCount(below node: PrefixTree.Node) -> Int {
        let leaves = tree.leaves(below: node)
        return leaves.count - removed(of: leaves).count
    }

    /// The tokens that may follow, with the nodes they lead to.
    func children(of node: PrefixTree.Node) -> [(token: Int32, node: PrefixTree.Node)] {
        let pairs = zip(tree.tokens(after: node), tree.nodes(after: node))
        if removed(of: tree.leaves(below: node)).isEmpty { return pairs.map { (token: $0, node: $1) } }
        return pairs.filter { leafCount(below: $1) > 0 }.map { (token: $0, node: $1) }
    }

    /// The only leaf that remains below a node; nil when there are several or none.
    func onlyLeaf(below node: PrefixTree.Node) -> Int? {
        let leaves = tree.leaves(below: node)
        let gone = removed(of: leaves)
        guard leaves.count - gone.count == 1 else { return nil }
        return zip(leaves, gone).first { $0 != $1 }?.0 ?? leaves.upperBound - 1
    }

    /// What the encoder says about the tokens that may follow.
    func prior(of node: PrefixTree.Node) -> BranchPrior? {
        prior?.branch(at: node, children: children(of: node).lazy.map(\.node))
    }

    /// What the encoder says about the likeliest leaf below a node.
    func outlook(of node: PrefixTree.Node) -> Float {
        leafCount(below: node) == 1 ? 0 : prior?.outlook(of: node) ?? 0
    }

    /// Those of some leaves that are removed; the leaves below a node have contiguous numbers.
    private func removed(of leaves: Range<Int>) -> ArraySlice<Int> {
        guard !removedLeaves.isEmpty else { return [] }
        let start = firstRemoved(from: leaves.lowerBound, in: removedLeaves.indices)
        // They are distinct, so no more than there are leaves.
        let most = min(removedLeaves.count, start + leaves.count)
        return removedLeaves[start..<firstRemoved(from: leaves.upperBound, in: start..<most)]
    }

    /// The first position whose leaf is not before this one, or else the positions' end.
    private func firstRemoved(from leaf: Int, in positions: Range<Int>) -> Int {
        var (low, high) = (positions.lowerBound, positions.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if removedLeaves[middle] < leaf { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
