/// The merge rules of a byte-pair encoding: which adjacent tokens merge, and in what order.
struct MergeTable: Sendable {
    /// A merge's rank, lower first, and the token it makes.
    struct Merge: Sendable {
        var rank: Int32
        var token: Int32
    }

    private var merges: [UInt64: Merge] = [:]

    /// Packs two tokens into one key.
    static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Adds a merge; if the pair already has one, the first one wins.
    mutating func insert(left: Int32, right: Int32, rank: Int32, token: Int32) {
        let key = Self.key(left, right)
        if merges[key] == nil { merges[key] = Merge(rank: rank, token: token) }
    }

    /// Merges adjacent tokens, lowest rank first and leftmost first, until no merge applies.
    ///
    /// - Complexity: O(n log n) in the number of tokens.
    func apply(to tokens: [Int32]) -> [Int32] {
        guard tokens.count > 1 else { return tokens }
        // A doubly linked list over the positions; a merged-away position has token -1.
        var tokens = tokens
        var next = Array(1...tokens.count)
        var previous = Array(-1..<(tokens.count - 1))
        var queue = MergeQueue<Candidate> { ($0.rank, $0.position) < ($1.rank, $1.position) }

        func propose(_ position: Int) {
            let neighbour = next[position]
            guard neighbour < tokens.count,
                let merge = merges[Self.key(tokens[position], tokens[neighbour])]
            else { return }
            queue.insert(
                Candidate(
                    rank: merge.rank,
                    position: position,
                    left: tokens[position],
                    right: tokens[neighbour],
                    token: merge.token
                )
            )
        }

        for position in 0..<(tokens.count - 1) { propose(position) }
        while let candidate = queue.popFirst() {
            let position = candidate.position
            let neighbour = next[position]
            // A candidate is stale when either of its tokens has been merged in the meantime.
            guard tokens[position] == candidate.left, neighbour < tokens.count, tokens[neighbour] == candidate.right
            else { continue }
            tokens[position] = candidate.token
            tokens[neighbour] = -1
            next[position] = next[neighbour]
            if next[position] < tokens.count { previous[next[position]] = position }
            propose(position)
            if previous[position] >= 0 { propose(previous[position]) }
        }
        return tokens.filter { $0 >= 0 }
    }

    private struct Candidate {
        var rank: Int32
        var position: Int
        var left: Int32
        var right: Int32
        var token: Int32
    }
}
