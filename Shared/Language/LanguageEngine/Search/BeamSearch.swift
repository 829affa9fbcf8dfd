/// Finds the most likely answers of a tree, a token further at a time.
///
/// A text with only one possible completion is finished at once: the rest of it has probability 1. Of the others, the
/// best `width` go on, except those that can no longer be among the best `width`, since scores only decrease. With a
/// width of at least the number of answers, the result is the exact ranking.
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
        var next: [Beam] = []
        for (index, beam) in beams.enumerated() {
            for (child, log) in zip(allowed[index], logs[index]) {
                next.append(Beam(parent: index, token: child.token, node: child.node, score: beam.score + log))
            }
        }
        next.sort { ($0.score, $1.node) > ($1.score, $0.node) }
        var open: [Beam] = []
        for beam in next {
            if done.count >= width, beam.score <= done[width - 1].score { break }
            if let leaf = tree.onlyLeaf(below: beam.node) {
                let place = done.firstIndex { $0.score < beam.score } ?? done.count
                done.insert(RankedLeaf(leaf: leaf, score: beam.score), at: place)
                if done.count > width { done.removeLast() }
            } else if open.count < width {
                open.append(beam)
            }
        }
        beams = open
        allowed = open.map { tree.children(of: $0.node) }
    }

    private mutating func finish(_ leaf: RankedLeaf) {
        done = [leaf]
        beams = []
        allowed = []
    }
}
