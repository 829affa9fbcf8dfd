import Catalogues
import NeuralNetwork
import Testing

@testable import UserModels

@Suite struct PrefixTreeTests {
    private let end: Int32 = 99
    private let sequences: [[Int32]] = [[5, 1, 2], [5, 1], [7], [5, 1, 2], [], [5, 3, 4, 6], [120, 1]]

    @Test func givesTheTokensThatMayFollow() throws {
        let tree = PrefixTree(sequences: sequences, end: end)
        #expect(Array(tree.tokens(after: PrefixTree.root)) == [5, 7, 120])
        let five = try #require(tree.node(after: PrefixTree.root, token: 5))
        #expect(Array(tree.tokens(after: five)) == [1, 3])
        let one = try #require(tree.node(after: five, token: 1))
        // [5, 1] is an answer and the beginning of one.
        #expect(Array(tree.tokens(after: one)) == [2, end])
        #expect(tree.node(after: one, token: 3) == nil)
        #expect(tree.leafCount == 5)
        #expect(tree.leafCount(below: five) == 3)
    }

    @Test func equalSequencesShareALeaf() throws {
        let tree = PrefixTree(sequences: sequences, end: end)
        let values = (0..<tree.leafCount).map { tree.values(ofLeaf: $0) }
        #expect(values.sorted { $0[0] < $1[0] } == [[0, 3], [1], [2], [5], [6]])
        for leaf in 0..<tree.leafCount {
            #expect(tree.sequence(ofLeaf: leaf) == sequences[tree.values(ofLeaf: leaf)[0]] + [end])
            #expect(tree.onlyLeaf(below: tree.node(ofLeaf: leaf)) == leaf)
        }
    }

    @Test func findsTheOnlyLeafBelowANode() throws {
        let tree = PrefixTree(sequences: sequences, end: end)
        let path = try #require(tree.path(of: [5, 3, 4, 6, end]))
        #expect(tree.onlyLeaf(below: path[0]) == nil)
        #expect(tree.onlyLeaf(below: path[1]) == nil)
        let leaf = try #require(tree.onlyLeaf(below: path[2]))
        #expect(tree.values(ofLeaf: leaf) == [5])
        #expect(tree.path(of: [5, 4]) == nil)
    }

    @Test func leavesLeftOutTakeTheirBranchesAlong() throws {
        let tree = PrefixTree(sequences: sequences, end: end)
        let gone = Set((0..<tree.leafCount).filter { [2, 5].contains(tree.values(ofLeaf: $0)[0]) })
        let restricted = RestrictedTree(tree, without: gone)
        #expect(restricted.leafCount(below: PrefixTree.root) == 3)
        #expect(restricted.children(of: PrefixTree.root).map(\.token) == [5, 120])
        let five = try #require(tree.node(after: PrefixTree.root, token: 5))
        #expect(restricted.children(of: five).map(\.token) == [1])
        let all = RestrictedTree(tree, without: Set(0..<tree.leafCount))
        #expect(all.leafCount(below: PrefixTree.root) == 0)
        let one = RestrictedTree(tree, without: Set(0..<tree.leafCount).subtracting([3]))
        #expect(one.onlyLeaf(below: PrefixTree.root) == 3)
    }

    @Test func leavesLeftOutAreThoseOfATreeWithoutThem() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<200 {
            // The end token sorts among the others.
            let sequences = (0..<random.below(40) + 1).map { _ in
                (0...random.below(4)).map { _ in [Int32(1), 2, 3, 120][random.below(4)] }
            }
            let tree = PrefixTree(sequences: sequences, end: end)
            let share = random.below(5)
            let gone = Set((0..<tree.leafCount).filter { _ in random.below(4) < share })
            let restricted = RestrictedTree(tree, without: gone)
            var nodes = [PrefixTree.root]
            while let node = nodes.popLast() {
                let left = tree.leaves(below: node).filter { !gone.contains($0) }
                #expect(restricted.leafCount(below: node) == left.count)
                #expect(restricted.onlyLeaf(below: node) == (left.count == 1 ? left[0] : nil))
                let children = tree.nodes(after: node).filter { !gone.isSuperset(of: tree.leaves(below: $0)) }
                #expect(restricted.children(of: node).map(\.node) == children)
                nodes += tree.nodes(after: node)
            }
        }
    }

    @Test func holdsEveryTitleOfACatalogue() throws {
        let (answers, _) = try TinyWorld.answers()
        #expect(answers.titles.leafCount == 11)
        #expect(answers.categories.leafCount == 3)
        // "Comedy" is a title and a category.
        #expect(answers.all.leafCount == 13)
        for item in 0..<12 {
            #expect(answers.titles.path(of: answers.tokens(ofTitle: item) + [answers.titles.end]) != nil)
        }
    }
}
