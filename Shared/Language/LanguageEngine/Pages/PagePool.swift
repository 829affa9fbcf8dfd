/// Counts the references to a bounded number of pages of keys and values, and remembers what full pages hold.
///
/// A page has room for a fixed number of consecutive positions of a text, in every layer. Several texts refer to one
/// page while they agree up to its end, so a page with more than one reference is never written.
///
/// **Prefix cache.** A full page is known by its tokens, by the context that acted on them and by the page before it, so
/// that equal pages are equal texts from the first position on; tokens are compared, not only their hash. A known page
/// without references stays until its room is needed; the one that was used the longest time ago goes first. Tables
/// give their pages back from the end, so a page goes before the one it continues.
struct PagePool {
    /// The number of a page, from 0.
    typealias Page = Int32

    /// What a known page holds.
    struct Key: Hashable {
        /// Identity of the page before it; 0 for the first page of a text.
        let before: UInt64
        /// What its keys and values depend on besides tokens.
        let context: ContextIdentity
        /// One token for each of its positions.
        let tokens: [Int32]
    }

    private struct Slot {
        var references: Int32 = 0
        /// Identity of what the page holds; 0 while it is not known.
        var identity: UInt64 = 0
        var key: Key?
        // Neighbours among the known pages without references; -1 at the ends.
        var older: Page = -1
        var newer: Page = -1
    }

    /// Positions in one page.
    let positions: Int
    /// Number of pages.
    let capacity: Int

    private var slots: [Slot]
    private var free: [Page]
    private var known: [Key: Page] = [:]
    private var nextIdentity: UInt64 = 1
    private var oldest: Page = -1
    private var newest: Page = -1
    private var idleCount = 0

    /// Makes a pool of unused pages.
    init(capacity: Int, positions: Int) {
        precondition(capacity > 0 && capacity <= Int(Int32.max) && positions > 0, "\(capacity) pages of \(positions)")
        self.capacity = capacity
        self.positions = positions
        slots = [Slot](repeating: Slot(), count: capacity)
        // The last one is taken first.
        free = (0..<Page(capacity)).reversed()
    }

    /// Pages that can be taken now: unused ones, and known ones without references.
    var availableCount: Int { free.count + idleCount }
    /// Pages with references.
    var usedCount: Int { capacity - availableCount }
    /// Known pages without references.
    var cachedCount: Int { idleCount }

    /// Pages for this many positions.
    func pageCount(for length: Int) -> Int { (length + positions - 1) / positions }

    /// Takes a page, with one reference; nil when every page has references.
    mutating func take() -> Page? {
        if free.isEmpty {
            guard oldest >= 0 else { return nil }
            let page = oldest
            unlink(page)
            forget(page)
            free.append(page)
        }
        guard let page = free.popLast() else { return nil }
        slots[Int(page)].references = 1
        return page
    }

    /// Adds a reference.
    mutating func retain(_ page: Page) {
        if slots[Int(page)].references == 0 { unlink(page) }
        slots[Int(page)].references += 1
    }

    /// Removes a reference; a page that is known stays in the cache without one.
    mutating func release(_ page: Page) {
        let index = Int(page)
        precondition(slots[index].references > 0, "page \(page) has no reference to give back")
        slots[index].references -= 1
        guard slots[index].references == 0 else { return }
        if slots[index].identity == 0 { free.append(page) } else { link(page) }
    }

    /// Whether one table alone refers to a page, which may then be written.
    func isExclusive(_ page: Page) -> Bool { slots[Int(page)].references == 1 }

    /// The known page of a key, with its identity; it gets no reference.
    func find(_ key: Key) -> (page: Page, identity: UInt64)? {
        guard let page = known[key] else { return nil }
        return (page, slots[Int(page)].identity)
    }

    /// Makes a full page known.
    ///
    /// - Returns: the page to use, which is another one when the same was known before (the reference moves to it), and
    ///   its identity.
    mutating func publish(_ page: Page, as key: Key) -> (page: Page, identity: UInt64) {
        if let other = known[key] {
            if other != page {
                retain(other)
                release(page)
            }
            return (other, slots[Int(other)].identity)
        }
        let identity = nextIdentity
        nextIdentity += 1
        slots[Int(page)].identity = identity
        slots[Int(page)].key = key
        known[key] = page
        return (page, identity)
    }

    private mutating func forget(_ page: Page) {
        if let key = slots[Int(page)].key { known[key] = nil }
        slots[Int(page)].key = nil
        slots[Int(page)].identity = 0
    }

    private mutating func link(_ page: Page) {
        slots[Int(page)].older = newest
        slots[Int(page)].newer = -1
        if newest >= 0 { slots[Int(newest)].newer = page } else { oldest = page }
        newest = page
        idleCount += 1
    }

    private mutating func unlink(_ page: Page) {
        let (older, newer) = (slots[Int(page)].older, slots[Int(page)].newer)
        if older >= 0 { slots[Int(older)].newer = newer } else { oldest = newer }
        if newer >= 0 { slots[Int(newer)].older = older } else { newest = older }
        slots[Int(page)].older = -1
        slots[Int(page)].newer = -1
        idleCount -= 1
    }
}
