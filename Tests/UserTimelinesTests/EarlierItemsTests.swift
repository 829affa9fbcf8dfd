import Bytes
import Messages
import Testing

@testable import UserTimelines

/// What is remembered of events that fell out of a timeline.
@Suite struct EarlierItemsTests {
    /// Applies events of some items, the first at this offset.
    private func apply(_ items: [ItemID], from offset: Int64 = 0, to store: inout TimelineStore) {
        for (index, item) in items.enumerated() {
            let event = TimelineEvent(item: item, time: Int64(index) * 1_000)
            #expect(store.apply(event, of: "ann", in: 0, offset: offset + Int64(index)) == .applied)
        }
    }

    private func store(_ items: [ItemID] = [], length: Int = 2) -> TimelineStore {
        var store = TimelineStore(length: length)
        store.open(0)
        apply(items, to: &store)
        return store
    }

    private func restored(_ timeline: Timeline, length: Int = 2) throws -> TimelineStore {
        try restored(timeline.encoded(), length: length)
    }

    private func restored(_ bytes: [UInt8], length: Int = 2) throws -> TimelineStore {
        var store = TimelineStore(length: length)
        store.open(0)
        var columns = TimelineColumns()
        try columns.read(bytes.span)
        try store.restore(columns, from: bytes.span, in: 0)
        return store
    }

    private func timeline(_ store: TimelineStore) throws -> Timeline {
        try #require(store.timeline(of: "ann", in: 0))
    }

    @Test func anItemIsThereOnceInThePlaceOfItsLastEvent() throws {
        var store = store(["a", "b", "a", "c", "d"])
        #expect(try timeline(store).events.map(\.item) == ["c", "d"])
        #expect(try timeline(store).earlierItems == ["b", "a"])
        // Who comes back is one of the events again, and the last to leave them.
        apply(["b", "e", "f"], from: 5, to: &store)
        #expect(try timeline(store).earlierItems == ["a", "c", "d", "b"])
        // One of which an event is still there has not left.
        apply(["e", "e"], from: 8, to: &store)
        #expect(try timeline(store).earlierItems == ["a", "c", "d", "b", "f"])
        #expect(store.itemCount == 6)
    }

    @Test func theOldestOfMoreThanAThousandFallOut() throws {
        let items = (0..<1_500).map { ItemID("item \($0)") }
        var live = store(items)
        #expect(try timeline(live).earlierItems == Array(items[498..<1_498]))
        #expect(Set(try timeline(live).seenItems) == Set(items.suffix(1_000)))
        #expect(live.itemCount == 1_002)
        #expect(live.byteCount < 2_100)
        // Whoever comes back makes room for none.
        apply([items[700], "new"], from: 1_500, to: &live)
        let found = try timeline(live)
        #expect(found.earlierItems == Array(items[499..<700] + items[701..<1_500]))
        #expect(live.itemCount == 1_002)
        live.remove("ann", in: 0)
        #expect(live.itemCount == 0 && live.byteCount == 0)
    }

    @Test func whoeverRestoresGoesOnAsIfNothingHadHappened() throws {
        var random = SystemRandomNumberGenerator()
        var live = store(length: 5)
        var other = live
        for round in 0..<8 {
            let items = (0..<400).map { _ in ItemID("\(Int.random(in: 0..<2_000, using: &random))") }
            apply(items, from: Int64(round) * 400, to: &live)
            apply(items, from: Int64(round) * 400, to: &other)
            #expect(try timeline(other) == timeline(live))
            #expect(other.itemCount == live.itemCount)
            other = try restored(timeline(live), length: 5)
            #expect(try timeline(other) == timeline(live))
        }
        #expect(try timeline(live).earlierItems.count == 1_000)
        other.drop(0)
        #expect(other.itemCount == 0)
    }

    @Test func aRecordOfAnEarlierVersionKnowsNoEarlierItems() throws {
        // user, event_count 70, last_offset 4, items "a" and "b", an event of each.
        let bytes: [UInt8] = [
            0x0A, 3, 0x61, 0x6E, 0x6E, 0x18, 70, 0x20, 8, 0x32, 1, 0x61, 0x32, 1, 0x62, 0x52, 2, 0, 1, 0x6A, 2, 2, 2,
        ]
        var store = try restored(bytes)
        #expect(try timeline(store).earlierItems.isEmpty)
        #expect(try Set(timeline(store).seenItems) == ["a", "b"])
        apply(["c"], from: 5, to: &store)
        #expect(try timeline(store).earlierItems == ["a"])
    }

    @Test func eventsAndItemsTogetherFitIntoTheLog() throws {
        let categories = (0..<Limits.categoryCount).map {
            "\(1_000 + $0)" + String(repeating: "c", count: Limits.nameByteCount - 4)
        }
        func item(_ index: Int) -> ItemID {
            ItemID("\(10_000 + index)" + String(repeating: "i", count: Limits.identifierByteCount - 5))
        }
        var live = store((0..<1_100).map(item), length: 40)
        #expect(try timeline(live).earlierItems.count == 1_000)
        for index in 0..<40 {
            let event = TimelineEvent(item: item(2_000 + index), categories: categories, time: 0)
            #expect(live.apply(event, of: "ann", in: 0, offset: 2_000 + Int64(index)) == .applied)
        }
        let full = try timeline(live)
        // Events go before items, and of these the last ones stay.
        #expect(full.events.count == 40 && (100..<1_000).contains(full.earlierItems.count))
        #expect(full.earlierItems == (0..<1_100).suffix(full.earlierItems.count).map(item))
        let byteCount = full.events.reduce(0) { $0 + $1.storedByteCount } + full.earlierItems.count * 515
        #expect((Limits.timelineByteCount - 515...Limits.timelineByteCount).contains(byteCount))
        #expect(live.storedByteCount(of: "ann", in: 0) == byteCount)
        #expect(try full.encoded().count < 1_000_000)
        var other = try restored(full, length: 40)
        #expect(try timeline(other) == full)
        // Smaller events make room for later items, and nothing comes back.
        let small = (0..<60).map { ItemID("small \($0)") }
        apply(small, from: 3_000, to: &live)
        apply(small, from: 3_000, to: &other)
        #expect(try timeline(live) == timeline(other))
        #expect(try timeline(live).earlierItems.suffix(20) == small.prefix(20))
        live.remove("ann", in: 0)
        #expect(live.itemCount == 0)
    }

    @Test func aForgedRecordIsHeldAndWrittenAgain() throws {
        // items "a", "a", "b", "b": an event of the first, the others are earlier ones.
        let bytes: [UInt8] = [
            0x0A, 3, 0x61, 0x6E, 0x6E, 0x18, 70, 0x20, 8, 0x32, 1, 0x61, 0x32, 1, 0x61, 0x32, 1, 0x62, 0x32, 1, 0x62,
            0x52, 1, 0, 0x6A, 1, 2, 0x90, 1, 3,
        ]
        var store = try restored(bytes)
        for index in 0..<6 {
            #expect(throws: Never.self) { try timeline(store).encoded() }
            apply([["a", "b", "c"][index % 3]], from: 5 + Int64(index), to: &store)
        }
        #expect(store.itemCount == 3)
        store.remove("ann", in: 0)
        #expect(store.itemCount == 0)
    }

    @Test func aTextThatNoItemHasIsRefusedAndNothingIsHeld() throws {
        // items "a" and "\0", the second an earlier one.
        let bytes: [UInt8] = [
            0x0A, 3, 0x61, 0x6E, 0x6E, 0x18, 70, 0x20, 8, 0x32, 1, 0x61, 0x32, 1, 0, 0x52, 1, 0, 0x6A, 1, 2, 0x90, 1, 1,
        ]
        var columns = TimelineColumns()
        try columns.read(bytes.span)
        var store = store()
        #expect(throws: MessageError.self) { try store.restore(columns, from: bytes.span, in: 0) }
        #expect(store.itemCount == 0 && store.userCount == 0)
    }
}
