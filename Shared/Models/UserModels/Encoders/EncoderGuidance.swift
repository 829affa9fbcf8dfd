import Foundation

/// The encoder's predictions for the next title, as soft targets for each choice on the path to a title.
///
/// One sampled title carries little information; the encoder has seen millions of next items and gives a probability
/// for every branch of the tree. The language model then learns from the mixture `(1 - share) * sample + share *
/// encoder`.
struct EncoderGuidance {
    private let leaves: LeafItems
    private var tree: PrefixTree { leaves.tree }

    /// Maps an encoder's predictions for `itemCount` items to a tree whose values below that number are items.
    init(tree: PrefixTree, itemCount: Int) {
        leaves = LeafItems(tree: tree, itemCount: itemCount)
    }

    /// The cumulative probabilities of the leaves, exclusive of each leaf; one more entry at the end.
    ///
    /// Leaves are numbered in the tree's order, so the probability below any node is the difference of two entries.
    ///
    /// - Parameter logits: the encoder's logits, one per item.
    /// - Returns: `tree.leafCount` + 1 sums.
    func cumulative(_ logits: ArraySlice<Float>) -> [Float] {
        let greatest = logits.max() ?? 0
        let masses = logits.map { exp($0 - greatest) }
        let total = masses.reduce(0, +)
        var sums: [Float] = [0]
        sums.reserveCapacity(tree.leafCount + 1)
        var sum: Float = 0
        for leaf in 0..<tree.leafCount {
            for item in leaves.items(ofLeaf: leaf) { sum += masses[Int(item)] / total }
            sums.append(sum)
        }
        return sums
    }

    /// Adds the terms that turn a sampled target into the mixture to a row of logit weights, one for each of the tree's
    /// `branchTokens`.
    ///
    /// Cross-entropy with the mixture is cross-entropy with the sample plus `share * sum((sample - encoder) * logits)`:
    /// the softmax's normalisation is the same in both.
    ///
    /// - Parameters:
    ///   - weights: weights of all logits; the row starts at `start`.
    ///   - start: start of the row.
    ///   - node: the node at which the choice is made.
    ///   - target: the sampled token.
    ///   - sums: the result of `cumulative`.
    ///   - share: share of the encoder in the target.
    func add(
        to weights: inout [Float],
        from start: Int,
        node: PrefixTree.Node,
        target: Int32,
        sums: [Float],
        share: Float
    ) {
        let leaves = tree.leaves(below: node)
        let mass = sums[leaves.upperBound] - sums[leaves.lowerBound]
        // Below this, differences of sums are only rounding errors.
        guard mass > 1e-5 else { return }
        for (token, child) in zip(tree.tokens(after: node), tree.nodes(after: node)) {
            let below = tree.leaves(below: child)
            let part = (sums[below.upperBound] - sums[below.lowerBound]) / mass
            weights[start + Int(tree.branchColumn(token))] -= share * part
        }
        weights[start + Int(tree.branchColumn(target))] += share
    }
}
