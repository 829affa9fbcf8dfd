@testable import LanguageEngine
import RandomNumbers
import Testing

@Suite struct PagePoolTests {
    @Test func pagesAreCountedAndGivenBack() {
        var pool = PagePool(capacity: 3, positions: 4)
        #expect(pool.take() == 0)
        #expect(pool.take() == 1)
        #expect(pool.take() == 2)
        #expect(pool.take() == nil)
        pool.retain(1)
        #expect(!pool.isExclusive(1))
        pool.release(1)
        #expect(pool.availableCount == 0)
        pool.release(1)
        #expect(pool.availableCount == 1)
        #expect(pool.take() == 1)
        #expect(pool.pageCount(for: 0) == 0)
        #expect(pool.pageCount(for: 4) == 1)
        #expect(pool.pageCount(for: 5) == 2)
    }

    @Test func theLeastRecentlyUsedKnownPageGoesFirst() throws {
        var pool = PagePool(capacity: 2, positions: 1)
        func key(_ token: Int32) -> PagePool.Key { .init(before: 0, context: .none, tokens: [token]) }
        for token in Int32(0)..<2 {
            let taken = pool.take()
            let page = try #require(taken)
            _ = pool.publish(page, as: key(token))
            pool.release(page)
        }
        #expect(pool.cachedCount == 2)
        // Used again, so the other one is older.
        let first = try #require(pool.find(key(0))).page
        pool.retain(first)
        pool.release(first)
        _ = pool.take()
        #expect(pool.find(key(0)) != nil)
        #expect(pool.find(key(1)) == nil)
        _ = pool.take()
        #expect(pool.find(key(0)) == nil)
        #expect(pool.take() == nil)
    }

    @Test func equalPagesBecomeOne() throws {
        var pool = PagePool(capacity: 4, positions: 2)
        let tokens: [Int32] = [1, 2, 3, 4, 5]
        var tables = [PageTable(), PageTable()]
        for index in tables.indices {
            #expect(tables[index].reserve(to: 5, in: &pool) { _, _ in } == (index == 0))
            if index == 0 { tables[index].commit(to: 5, tokens: tokens, reach: .none, in: &pool) }
        }
        // The second text found a page too few; with the first one's known pages it needs one alone.
        tables[1].release(to: &pool)
        #expect(tables[1].extend(with: tokens, before: 4, reach: .none, in: &pool) == 4)
        #expect(tables[1].pages == Array(tables[0].pages[..<2]))
        #expect(tables[1].reserve(to: 5, in: &pool) { _, _ in })
        #expect(pool.usedCount == 4)
        tables[0].release(to: &pool)
        tables[1].release(to: &pool)
        #expect(pool.usedCount == 0)
        #expect(pool.cachedCount == 2)
    }

    /// A page that is reserved and not computed yet would otherwise stand before the one that was found.
    @Test func nothingIsFoundBehindReservedPages() {
        var pool = PagePool(capacity: 4, positions: 2)
        let tokens: [Int32] = [1, 2, 3, 4, 5]
        var known = PageTable()
        #expect(known.reserve(to: 2, in: &pool) { _, _ in })
        known.commit(to: 2, tokens: tokens, reach: .none, in: &pool)
        var table = PageTable()
        #expect(table.reserve(to: 4, in: &pool) { _, _ in })
        let reserved = table.pages
        #expect(table.extend(with: tokens, before: 4, reach: .none, in: &pool) == 0)
        #expect(table.pages == reserved)
        table.release(to: &pool)
        #expect(table.extend(with: tokens, before: 4, reach: .none, in: &pool) == 2)
        #expect(table.pages == known.pages)
    }

    @Test func aSharedPageIsCopiedBeforeItIsWritten() {
        var pool = PagePool(capacity: 6, positions: 4)
        var table = PageTable()
        _ = table.reserve(to: 6, in: &pool) { _, _ in Issue.record("nothing is shared") }
        table.commit(to: 6, tokens: [], reach: .none, in: &pool)
        var fork = table.forked(in: &pool)
        #expect(fork.neededCount(to: 7, in: pool) == 1)
        var copies: [[PagePool.Page]] = []
        #expect(fork.reserve(to: 7, in: &pool) { copies.append([$0, $1]) })
        #expect(copies == [[1, 2]])
        #expect(fork.pages == [0, 2])
        #expect(table.pages == [0, 1])
        // The other text has its page for itself again.
        #expect(table.neededCount(to: 8, in: pool) == 0)
        #expect(table.reserve(to: 8, in: &pool) { copies.append([$0, $1]) })
        #expect(copies.count == 1)
        fork.release(to: &pool)
        table.release(to: &pool)
        #expect(pool.availableCount == 6)
    }

    @Test func manyTextsNeverShareAPageThatOneOfThemWrites() {
        var random = SeededRandom(seed: 3)
        var pool = PagePool(capacity: 40, positions: 4)
        // What each page holds, as a writer of keys and values would see it.
        var content: [PagePool.Page: [Int32]] = [:]
        var texts: [(tokens: [Int32], table: PageTable)] = []
        for _ in 0..<4_000 {
            let choice = random.below(10)
            if texts.isEmpty || choice == 0 {
                texts.append(([], PageTable()))
            } else if choice == 1 {
                let text = texts[random.below(texts.count)]
                texts.append((text.tokens, text.table.forked(in: &pool)))
            } else if choice == 2 {
                var text = texts.remove(at: random.below(texts.count))
                text.table.release(to: &pool)
            } else {
                let index = random.below(texts.count)
                let tokens = texts[index].tokens + (0..<1 + random.below(5)).map { _ in Int32(random.below(2)) }
                var table = texts[index].table
                _ = table.extend(with: tokens, before: tokens.count - 1, reach: .none, in: &pool)
                guard table.reserve(to: tokens.count, in: &pool, copy: { content[$1] = content[$0] }) else {
                    table.release(to: &pool)
                    texts.remove(at: index)
                    continue
                }
                for position in table.length..<tokens.count {
                    let page = table.pages[position / 4]
                    #expect(pool.isExclusive(page))
                    content[page, default: []] = Array((content[page] ?? []).prefix(position % 4)) + [tokens[position]]
                }
                table.commit(to: tokens.count, tokens: tokens, reach: .none, in: &pool)
                texts[index] = (tokens, table)
            }
            for (tokens, table) in texts {
                let held = table.pages.enumerated().flatMap { index, page in
                    (content[page] ?? []).prefix(tokens.count - index * 4)
                }
                #expect(held == tokens)
            }
        }
        for index in texts.indices { texts[index].table.release(to: &pool) }
        #expect(pool.availableCount == 40)
    }
}
