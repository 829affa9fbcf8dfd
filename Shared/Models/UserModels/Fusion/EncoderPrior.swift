import Foundation
import LanguageEngine
import Synchronization

/// An encoder's probabilities of the items that may be an answer, summed over the branches of a tree.
///
/// Answers that are no items, such as categories, are nothing that the encoder knows: where one lies below a child, the
/// language model decides alone how likely that child is. So the probabilities of such answers remain what they are.
///
/// The items are scored when the first branch is reached, so an answer that waits takes no memory for them. One thread
/// at a time uses it.
final class EncoderPrior: Sendable {
    let weights: FusionWeights
    private let leaves: LeafItems
    private let scorer: ItemScorer
    private let pooled: [Float]
    private let excluded: Set<Int>
    /// Scores in the order of `leaves.items`, minus infinity for excluded items; nil before they are needed.
    private let scores = Mutex<[Float]?>(nil)

    /// Makes the prior of an answer.
    ///
    /// - Parameters:
    ///   - leaves: the tree's items.
    ///   - scorer: scores them.
    ///   - pooled: the user's vector, of the scorer's width.
    ///   - excluded: items that take no part.
    ///   - weights: the exponents.
    init(
        _ leaves: LeafItems,
        scorer: ItemScorer,
        pooled: [Float],
        excluding excluded: Set<Int>,
        weights: FusionWeights
    ) {
        self.leaves = leaves
        self.scorer = scorer
        self.pooled = pooled
        self.excluded = excluded
        self.weights = weights
    }

    /// What is known about the choice between some children of a node.
    func branch(at node: PrefixTree.Node, children: some Sequence<PrefixTree.Node>) -> BranchPrior {
        let pair = weights.pair(atBranch: leaves.tree.branchDepth(of: node))
        return BranchPrior(
            logs: logs(of: children),
            modelWeight: pair.languageModel,
            priorWeight: pair.encoder
        )
    }

    /// The logarithms of the sums of the items' unnormalised probabilities below nodes; nil where the encoder knows
    /// nothing.
    func logs(of nodes: some Sequence<PrefixTree.Node>) -> [Double?] {
        withScores { scores in
            nodes.map { node in
                guard leaves.hasOnlyItems(below: node) else { return nil }
                return Self.logSum(scores[leaves.places(ofLeaves: leaves.tree.leaves(below: node))])
            }
        }
    }

    /// The logarithm of the greatest share that a leaf has of a node's probability; 0 where the encoder knows nothing.
    func outlook(of node: PrefixTree.Node) -> Float {
        guard leaves.hasOnlyItems(below: node) else { return 0 }
        let below = leaves.tree.leaves(below: node)
        return withScores { scores in
            let best = below.reduce(-Double.infinity) { best, leaf in
                max(best, Self.logSum(scores[leaves.places(ofLeaves: leaf..<leaf + 1)]))
            }
            let all = Self.logSum(scores[leaves.places(ofLeaves: below)])
            return best.isFinite && all.isFinite ? Float(min(best - all, 0)) : 0
        }
    }

    /// The items of a leaf that may be the answer, with the logarithms of their shares of it.
    ///
    /// They are the last branch of a title: all tokens are the same, so the encoder decides alone between them.
    func items(ofLeaf leaf: Int) -> [(item: Int, log: Float)] {
        let places = leaves.places(ofLeaves: leaf..<leaf + 1)
        let node = leaves.tree.node(ofLeaf: leaf)
        let weight = weights.pair(atBranch: leaves.tree.branchDepth(of: node)).encoder
        return withScores { scores in
            let possible = places.filter { scores[$0] > -.infinity }
            let greatest = possible.map { scores[$0] }.max() ?? 0
            let logs = possible.map { weight * Double(scores[$0] - greatest) }
            let sum = log(logs.reduce(0) { $0 + exp($1) })
            return zip(possible, logs).map { (item: Int(leaves.items[$0]), log: Float($1 - sum)) }
        }
    }

    private func withScores<Result: Sendable>(_ body: ([Float]) -> Result) -> Result {
        scores.withLock { scores in
            let known: [Float]
            if let scores {
                known = scores
            } else {
                let all = scorer.scores(pooled)
                known = leaves.items.map { excluded.contains(Int($0)) ? -.infinity : all[Int($0)] }
                scores = known
            }
            return body(known)
        }
    }

    private static func logSum(_ scores: ArraySlice<Float>) -> Double {
        if scores.count == 1, let only = scores.first { return Double(only) }
        let greatest = Double(scores.max() ?? -.infinity)
        guard greatest.isFinite else { return greatest }
        return greatest + log(scores.reduce(0) { $0 + exp(Double($1) - greatest) })
    }
}
