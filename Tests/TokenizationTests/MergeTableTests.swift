import Testing

@testable import Tokenization

@Suite struct MergeTableTests {
    @Test func bothWaysOfMergingAgree() {
        var generator = SplitMix(state: 4)
        for _ in 0..<200 {
            var table = MergeTable(count: 40)
            for rank in 0..<40 {
                let range: ClosedRange<Int32> = 0...Int32(min(3 + rank, 20))
                table.insert(
                    left: .random(in: range, using: &generator),
                    right: .random(in: range, using: &generator),
                    rank: Int32(rank),
                    token: Int32(4 + rank)
                )
            }
            for _ in 0..<20 {
                let tokens = (0..<Int.random(in: 2...30, using: &generator)).map { _ in
                    Int32.random(in: 0...3, using: &generator)
                }
                #expect(table.applyToFew(tokens) == table.applyToMany(tokens))
            }
        }
    }

    @Test func theLastOfTwoMergesOfAPairCounts() {
        var table = MergeTable(count: 2)
        table.insert(left: 1, right: 2, rank: 0, token: 3)
        table.insert(left: 1, right: 2, rank: 1, token: 4)
        #expect(table.apply(to: [1, 2]) == [4])
    }
}
