/// Finds the most likely answers of a tree, a token further at a time.
///
/// A text with only one possible completion is finished at once: the rest of it has probability 1. Of the others, the
/// best `width` go on, except those that can no longer be among the best `width`, since scores only decrease. With a
/// width of at least the number of answers, the result is the exact ranking. Where the tree knows something about its
/// answers, the best texts are those with the best outlook.
struct BeamSearch {
    /// A text that goes on.
    struct Beam: Equatable {
        /// The text of the step before that this one continues.
        var parent: Int
        /// The token it adds.
        var token: Int32
        /// The tree's node after it.
        var node: Int32
        /// The natural logarithm of its probability.
        var score: Float
    }

    private let tree: any TokenTree
    private let width: Int
    private var done: [RankedLeaf] = []
    /// The texts that are read next, best first; before the first step, the prompt alone.
    private(set) var beams: [Beam]
    /// The tokens allowed after each beam, in ascending order.
    private(set) var allowed: [[(token: Int32, node: Int32)]]
    /// The outlook of each beam.
    private var outlooks: [Float] = [0]

    /// Starts a search for at most `width` answers.
    init(_ tree: any TokenTree, width: Int) {
        self.tree = tree
        self.width = width
        beams = [Beam(parent: 0, token: -1, node: tree.root, score: 0)]
        allowed = [tree.children(of: tree.root)]
        if let leaf = tree.onlyLeaf(below: tree.root) { finish(RankedLeaf(leaf: leaf, score: 0)) }
    }

    /// The answers, most likely first; nil while the search goes on.
    var ranking: [RankedLeaf]? { beams.isEmpty ? Array(done.prefix(width)) : nil }

    /// Chooses the texts of the next step.
    ///
    /// - Parameter logs: for each beam, the logarithms of the probabilities of its allowed tokens among themselves.
    mutating func advance(_ logs: [[Float]]) {
        var next: [(beam: Beam, outlook: Float)] = []
        for (index, beam) in beams.enumerated() {
            // An only child has the leaves of its parent: a long beginning of many titles is not added up at each token.
            let known = allowed[index].count == 1 ? outlooks[index] : nil
            for (child, log) in zip(allowed[index], logs[index]) {
                let beam = Beam(parent: index, token: child.token, node: child.node, score: beam.score + log)
                next.append((beam, known ?? tree.outlook(of: child.node)))
            }
        }
        let ranked = next.sorted {
            ($0.beam.score + $0.outlook, $1.beam.node) > ($1.beam.score + $1.outlook, $0.beam.node)
        }
        var open: [(beam: Beam, outlook: Float)] = []
        for (beam, outlook) in ranked {
            if done.count >= width, beam.score <= done[width - 1].score { continue }
            if let leaf = tree.onlyLeaf(below: beam.node) {
                let place = done.firstIndex { $0.score < beam.score } ?? done.count
                done.insert(RankedLeaf(leaf: leaf, score: beam.score), at: place)
                if done.count > width { done.removeLast() }
            } else if open.count < width {
                open.append((beam, outlook))
            }
        }
        // Answers that were found after a beam may be better than all that is below it.
        open.removeAll { done.count >= width && $0.beam.score < done[width - 1].score }
        beams = open.map(\.beam)
        outlooks = open.map(\.outlook)
        allowed = beams.map { tree.children(of: $0.node) }
    }

    /// What the tree knows about the tokens allowed after a beam.
    func prior(of beam: Int) -> BranchPrior? {
        allowed[beam].count > 1 ? tree.prior(of: beams[beam].node) : nil
    }

    private mutating func finish(_ leaf: RankedLeaf) {
        done = [leaf]
        (beams, allowed, outlooks) = ([], [], [])
    }
}
