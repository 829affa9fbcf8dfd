/// The pages that hold one text's keys and values, in the order of its positions.
///
/// Tables are values that own references: each is given back with `release` exactly once.
struct PageTable {
    /// Page of each `PagePool.positions` consecutive positions.
    private(set) var pages: [PagePool.Page] = []
    /// Number of positions whose keys and values are computed.
    private(set) var length = 0
    /// Identities of the leading pages that are known to the prefix cache.
    private var identities: [UInt64] = []

    /// Takes the known pages of a text from the current end on, as far as they reach.
    ///
    /// Does nothing unless the computed part ends with a known page and nothing is reserved behind it.
    ///
    /// - Parameters:
    ///   - tokens: the text.
    ///   - limit: positions from here on are left to be computed.
    ///   - reach: what the text depends on besides its tokens.
    ///   - pool: holds the pages.
    /// - Returns: the number of positions found.
    mutating func extend(
        with tokens: [Int32],
        before limit: Int,
        reach: ContextReach,
        in pool: inout PagePool
    ) -> Int {
        let start = length
        while length == identities.count * pool.positions, pages.count == identities.count,
            length + pool.positions <= limit
        {
            let end = length + pool.positions
            let key = key(of: tokens[length..<end], reach: reach)
            guard let (page, identity) = pool.find(key) else { break }
            pool.retain(page)
            pages.append(page)
            identities.append(identity)
            length = end
        }
        return length - start
    }

    /// Pages that `reserve` would take from the pool for the positions up to `end`.
    func neededCount(to end: Int, in pool: PagePool) -> Int {
        let fresh = max(0, pool.pageCount(for: end) - pages.count)
        return fresh + (mustCopy(before: end, in: pool) ? 1 : 0)
    }

    /// Makes the positions from `length` up to `end` writable.
    ///
    /// - Parameters:
    ///   - end: one more than the last position.
    ///   - pool: gives the pages.
    ///   - copy: copies one page's content to another, for a page that other texts go on reading.
    /// - Returns: false when the pool has no page left; what was taken stays with this table.
    mutating func reserve(
        to end: Int,
        in pool: inout PagePool,
        copy: (_ from: PagePool.Page, _ to: PagePool.Page) -> Void
    ) -> Bool {
        if mustCopy(before: end, in: pool) {
            guard let page = pool.take() else { return false }
            let index = length / pool.positions
            copy(pages[index], page)
            pool.release(pages[index])
            pages[index] = page
        }
        while pages.count * pool.positions < end {
            guard let page = pool.take() else { return false }
            pages.append(page)
        }
        return true
    }

    /// Notes that keys and values are computed up to `end`, and makes the full pages of `tokens` known.
    ///
    /// - Parameters:
    ///   - end: one more than the last computed position.
    ///   - tokens: the text, at least up to the last page to be made known; positions beyond it stay unknown.
    ///   - reach: what the text depends on besides its tokens.
    ///   - pool: holds the pages.
    mutating func commit(to end: Int, tokens: [Int32], reach: ContextReach, in pool: inout PagePool) {
        length = end
        while true {
            let first = identities.count * pool.positions
            let last = first + pool.positions
            guard last <= length, last <= tokens.count else { return }
            let key = key(of: tokens[first..<last], reach: reach)
            let (page, identity) = pool.publish(pages[identities.count], as: key)
            pages[identities.count] = page
            identities.append(identity)
        }
    }

    /// Another table of the same text, which shares all pages until either goes on.
    func forked(in pool: inout PagePool) -> PageTable {
        for page in pages { pool.retain(page) }
        return self
    }

    /// Gives all pages back; the table is then empty.
    mutating func release(to pool: inout PagePool) {
        // From the end, so that the cache loses the end of a text before its beginning.
        for page in pages.reversed() { pool.release(page) }
        self = PageTable()
    }

    /// Whether the next position lies in a page that other tables read too.
    private func mustCopy(before end: Int, in pool: PagePool) -> Bool {
        let index = length / pool.positions
        guard end > length, length % pool.positions != 0, index < pages.count else { return false }
        return !pool.isExclusive(pages[index])
    }

    private func key(of tokens: ArraySlice<Int32>, reach: ContextReach) -> PagePool.Key {
        PagePool.Key(
            before: identities.last ?? 0,
            context: reach.identity(before: tokens.endIndex),
            tokens: Array(tokens)
        )
    }
}
