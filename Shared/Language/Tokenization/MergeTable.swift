/// The merge rules of a byte-pair encoding: which adjacent tokens merge, and in what order.
struct MergeTable: Sendable {
    /// A merge's rank, lower first, and the token it makes.
    struct Merge: Sendable {
        var rank: Int32
        var token: Int32
    }

    private struct Slot: Sendable {
        var key: UInt64
        var merge: Merge
    }

    /// The key of a free slot: no token is -1.
    private static let free = UInt64.max
    /// Up to this many tokens, looking at all pairs again after each merge is faster than a queue.
    private static let shortCount = 24

    /// A table with open addressing, half of it free.
    private var slots: [Slot]

    /// Makes an empty table.
    ///
    /// - Parameter count: how many merges it will hold at most.
    init(count: Int) {
        var size = 64
        while size < 2 * count { size *= 2 }
        slots = Array(repeating: Slot(key: Self.free, merge: Merge(rank: 0, token: 0)), count: size)
    }

    /// Packs two tokens into one key.
    static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Adds a merge; if the pair already has one, the last one wins.
    mutating func insert(left: Int32, right: Int32, rank: Int32, token: Int32) {
        let key = Self.key(left, right)
        slots[place(of: key)] = Slot(key: key, merge: Merge(rank: rank, token: token))
    }

    private func merge(_ left: Int32, _ right: Int32) -> Merge? {
        let slot = slots[place(of: Self.key(left, right))]
        return slot.key == Self.free ? nil : slot.merge
    }

    private func place(of key: UInt64) -> Int {
        let mask = slots.count - 1
        var place = Int(truncatingIfNeeded: ByteHash.hash(key)) & mask
        while slots[place].key != key && slots[place].key != Self.free { place = (place + 1) & mask }
        return place
    }

    /// Merges adjacent tokens, lowest rank first and leftmost first, until no merge applies.
    ///
    /// - Complexity: O(n log n) in the number of tokens.
    func apply(to tokens: [Int32]) -> [Int32] {
        if tokens.count < 2 { return tokens }
        return tokens.count <= Self.shortCount ? applyToFew(tokens) : applyToMany(tokens)
    }

    /// The same for few tokens, by looking for the lowest rank again and again.
    func applyToFew(_ tokens: [Int32]) -> [Int32] {
        var tokens = tokens
        var merges = (1..<tokens.count).map { merge(tokens[$0 - 1], tokens[$0]) }
        while true {
            var (best, rank) = (-1, Int32.max)
            for (place, merge) in merges.enumerated() {
                if let merge, merge.rank < rank { (best, rank) = (place, merge.rank) }
            }
            guard best >= 0, let merge = merges[best] else { return tokens }
            tokens[best] = merge.token
            tokens.remove(at: best + 1)
            merges.remove(at: best)
            if best < merges.count { merges[best] = self.merge(tokens[best], tokens[best + 1]) }
            if best > 0 { merges[best - 1] = self.merge(tokens[best - 1], tokens[best]) }
        }
    }

    /// The same for many tokens, with a queue of the merges that are possible.
    func applyToMany(_ tokens: [Int32]) -> [Int32] {
        guard tokens.count > 1 else { return tokens }
        // A doubly linked list over the positions; a merged-away position has token -1.
        var tokens = tokens
        var next = Array(1...tokens.count)
        var previous = Array(-1..<(tokens.count - 1))
        var queue = MergeQueue<Candidate> { ($0.rank, $0.position) < ($1.rank, $1.position) }

        func propose(_ position: Int) {
            let neighbour = next[position]
            guard neighbour < tokens.count, let merge = merge(tokens[position], tokens[neighbour]) else { return }
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
