/// The answers that a sequence may give: a prefix tree of token sequences.
///
/// Every path from the root to a node without children is one answer, a leaf, and has at least one token. Nodes and
/// leaves are numbers that the tree chooses.
public protocol TokenTree: Sendable {
    /// The node before the first token.
    var root: Int32 { get }
    /// The greatest number of tokens of an answer.
    var depth: Int { get }
    /// One more than the greatest token.
    var tokenLimit: Int { get }

    /// The tokens that may follow a node and the nodes they lead to, in ascending order of tokens.
    ///
    /// Empty at a leaf. Every child has at least one leaf below it.
    func children(of node: Int32) -> [(token: Int32, node: Int32)]

    /// The only leaf at or below a node; nil when there are several, or none at all.
    func onlyLeaf(below node: Int32) -> Int?

    /// What is known about a node's children besides what the model says; nil for nothing.
    ///
    /// Asked at nodes with several children.
    func prior(of node: Int32) -> BranchPrior?

    /// The natural logarithm of the share that the likeliest leaf below a node probably has of it, at most 0; 0 when
    /// nothing is known.
    ///
    /// A search goes on with the texts whose likeliest leaf is probably the best: a short way into many unlikely answers
    /// must not take the place of one into few likely ones.
    func outlook(of node: Int32) -> Float
}

extension TokenTree {
    /// Nothing is known.
    public func prior(of node: Int32) -> BranchPrior? { nil }

    /// Nothing is known.
    public func outlook(of node: Int32) -> Float { 0 }

    /// The tokens from a node down to the first of its leaves.
    func tokens(below node: Int32) -> [Int32] {
        var tokens: [Int32] = []
        var node = node
        while tokens.count < depth, let child = children(of: node).first {
            tokens.append(child.token)
            node = child.node
        }
        return tokens
    }
}

/// An answer of a tree and how likely it is.
public struct RankedLeaf: Sendable, Equatable {
    /// The tree's number of the answer.
    public var leaf: Int
    /// The natural logarithm of its probability among all answers of the tree.
    public var score: Float

    /// Makes a ranked answer.
    public init(leaf: Int, score: Float) {
        self.leaf = leaf
        self.score = score
    }
}
