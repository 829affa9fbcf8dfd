import Messages
import Testing

@testable import EncoderWorker

@Suite struct TimelineStoreTests {
    private func event(_ index: Int, categories: [String] = []) -> TimelineEvent {
        TimelineEvent(item: "i\(index)", rating: Float(index % 5), categories: categories, time: Int64(index) * 1_000)
    }

    @Test func keepsTheLastEventsAndCountsAll() throws {
        var store = TimelineStore(length: 3)
        store.open(2)
        for index in 0..<10 {
            let categories = index.isMultiple(of: 2) ? ["Drama", "War"] : []
            let outcome = store.apply(event(index, categories: categories), of: "ann", in: 2, offset: Int64(index))
            #expect(outcome == .applied)
        }
        let timeline = try #require(store.timeline(of: "ann", in: 2))
        #expect(timeline.eventCount == 10)
        #expect(timeline.lastOffset == 9)
        #expect(timeline.events == [event(7), event(8, categories: ["Drama", "War"]), event(9)])
        #expect(store.itemCount == 3)
    }

    @Test func appliesNoEventTwice() throws {
        var store = TimelineStore(length: 5)
        store.open(0)
        _ = store.apply(event(1), of: "ann", in: 0, offset: 7)
        #expect(store.apply(event(1), of: "ann", in: 0, offset: 7) == .known)
        #expect(store.apply(event(0), of: "ann", in: 0, offset: 3) == .known)
        #expect(store.apply(event(2), of: "bob", in: 0, offset: 5) == .applied)
        let timeline = try #require(store.timeline(of: "ann", in: 0))
        #expect(timeline.eventCount == 1)
        #expect(timeline.events == [event(1)])
    }

    @Test func restoresTheNewestTimelineOfAUser() throws {
        var store = TimelineStore(length: 2)
        store.open(0)
        let old = Timeline(user: "ann", eventCount: 4, lastOffset: 8, events: [event(3), event(4)])
        let new = Timeline(user: "ann", eventCount: 5, lastOffset: 9, events: [event(3), event(4), event(5)])
        let rebuilt = Timeline(user: "ann", generation: 1, eventCount: 1, lastOffset: 0, events: [event(6)])
        store.restore(new, in: 0)
        store.restore(old, in: 0)
        #expect(store.timeline(of: "ann", in: 0)?.eventCount == 5)
        #expect(store.timeline(of: "ann", in: 0)?.events == [event(4), event(5)])
        store.restore(rebuilt, in: 0)
        #expect(store.timeline(of: "ann", in: 0) == rebuilt)
        #expect(store.itemCount == 1)
    }

    @Test func forgetsUsersAndPartitionsWithAllTheyHeld() {
        var store = TimelineStore(length: 4)
        store.open(0)
        store.open(1)
        _ = store.apply(event(1), of: "ann", in: 0, offset: 0)
        _ = store.apply(event(2), of: "bob", in: 1, offset: 0)
        _ = store.apply(event(2), of: "cid", in: 1, offset: 1)
        store.remove("ann", in: 0)
        #expect(store.timeline(of: "ann", in: 0) == nil)
        #expect(store.userCount == 2)
        #expect(store.itemCount == 1)
        store.drop(1)
        #expect(!store.holds(1))
        #expect(store.userCount == 0)
        #expect(store.itemCount == 0)
    }

    @Test func takesLessThanAKilobyteForFiftyEvents() {
        var store = TimelineStore(length: 50)
        store.open(0)
        let users = 200
        for user in 0..<users {
            for index in 0..<60 {
                _ = store.apply(event((user * 7 + index) % 500), of: "user-\(user)", in: 0, offset: Int64(index))
            }
        }
        let perUser = store.eventByteCount / users
        #expect(perUser <= 900, "\(perUser) bytes of events a user")
    }
}

@Suite struct InternTableTests {
    @Test func givesOneNumberToEqualValuesAndReusesThoseThatAreFree() {
        var table = InternTable<String>()
        let first = table.retain("a")
        #expect(table.retain("a") == first)
        let second = table.retain("b")
        #expect(second != first)
        table.release(first)
        #expect(table[first] == "a")
        table.release(first)
        #expect(table.count == 1)
        #expect(table.retain("c") == first)
        #expect(table[first] == "c")
        #expect(table[second] == "b")
    }
}
