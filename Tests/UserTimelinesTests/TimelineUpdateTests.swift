import Bytes
import Messages
import Flows
import MessageLogs
import Testing

@testable import UserTimelines

@Suite struct TimelineUpdateTests {
    private static let routing = EventRouting(partitionCount: 1)

    private func record(
        _ event: Event,
        offset: Int64,
        key: String? = nil,
        headers: [Header] = []
    ) throws -> Record {
        Record(
            source: TopicPartition(Topic.userEvents.rawValue, 0),
            offset: offset,
            timestamp: 1_000 + offset,
            key: Array((key ?? event.user.text).utf8),
            value: try event.encoded(),
            headers: headers
        )
    }

    private func store() -> TimelineStore {
        var store = TimelineStore(length: 10)
        store.open(0)
        return store
    }

    /// An event of a hundred bytes brings a timeline of a megabyte with it.
    @Test func asMuchIsAppliedAsOneCommitMayBringWithIt() throws {
        var store = TimelineStore(length: 50)
        store.open(0)
        let categories = (0..<64).map { "\($0)" + String(repeating: "c", count: 250) }
        var records: [Record] = []
        for user in 0..<10 {
            for number in 0..<4 {
                let event = Event(user: UserID("u\(user)"), item: "i", categories: categories, time: Int64(number))
                records.append(try record(event, offset: Int64(records.count)))
            }
        }
        let routing = EventRouting(partitionCount: 1)
        var rest = records[...]
        var counts: [Int] = []
        while !rest.isEmpty {
            let limit = TimelineUpdate.OutputLimit(byteCount: 100_000, embeddingByteCount: 4_000)
            let update = TimelineUpdate(applying: Array(rest), to: &store, routing: routing, limit: limit)
            #expect(update.recordCount > 0 && update.rejections.isEmpty)
            counts.append(update.recordCount)
            rest = rest.dropFirst(update.recordCount)
        }
        // Four events of a user are 64 KB as they come.
        #expect(counts.reduce(0, +) == 40 && counts.allSatisfy { $0 <= 8 })
        #expect((0..<10).allSatisfy { store.timeline(of: UserID("u\($0)"), in: 0)?.eventCount == 4 })
        // However much one brings, it is applied.
        let last = try record(Event(user: "u1", item: "i", time: 9), offset: 40)
        let limit = TimelineUpdate.OutputLimit(byteCount: 1)
        #expect(TimelineUpdate(applying: [last, last], to: &store, routing: routing, limit: limit).recordCount == 1)
    }

    @Test func encodesEachTouchedUserOnceWithTheTimeOfTheLastEvent() throws {
        var store = store()
        let records = [
            try record(Event(user: "ann", item: "a", time: 1), offset: 0),
            try record(Event(user: "bob", item: "b", time: 2), offset: 1),
            try record(Event(user: "ann", item: "c", time: 3), offset: 2),
        ]
        let update = TimelineUpdate(applying: records, to: &store, routing: Self.routing)
        #expect(update.changed.map(\.timeline.user) == ["ann", "bob"])
        #expect(update.changed.map(\.timeline.eventCount) == [2, 1])
        #expect(update.changed.map(\.timeline.lastOffset) == [2, 1])
        #expect(update.changed.map(\.appendedAt) == [1_002, 1_001])
        #expect(update.rejections.isEmpty)
    }

    @Test func rejectsWhatIsNoEventAndGoesOn() throws {
        var store = store()
        var broken = try record(Event(user: "ann", item: "a", time: 1), offset: 0)
        broken.value = [0xff, 0xff, 0xff]
        var keyless = try record(Event(user: "ann", item: "a", time: 1), offset: 1)
        // A deletion that names nobody.
        keyless.key = nil
        keyless.value = nil
        let foreign = try record(Event(user: "ann", item: "a", time: 1), offset: 2, key: "bob")
        let unknown = try record(
            Event(user: "ann", item: "a", time: 1),
            offset: 3,
            headers: [Header("content-type", "text/csv")]
        )
        let good = try record(Event(user: "ann", item: "a", time: 1), offset: 4)
        let update = TimelineUpdate(
            applying: [broken, keyless, foreign, unknown, good],
            to: &store,
            routing: Self.routing
        )
        #expect(update.rejections.map(\.record.offset) == [0, 1, 2, 3])
        #expect(update.rejections[1].reason.contains("key"))
        #expect(update.rejections[2].reason.contains("user"))
        #expect(update.changed.map(\.timeline.eventCount) == [1])

        let rejected = update.rejections[0].outgoing(service: "encoder-worker")
        #expect(rejected.topic == "user-events-rejected")
        #expect(rejected.value == [0xff, 0xff, 0xff])
        #expect(rejected.headers.contains(Header("rejected-offset", "0")))
    }

    @Test func aDeletionForgetsTheUserWhoMayBeginAnew() throws {
        var store = store()
        var deletion = try record(Event(user: "ann", item: "a", time: 1), offset: 1)
        deletion.value = nil
        let first = TimelineUpdate(
            applying: [try record(Event(user: "ann", item: "a", time: 1), offset: 0), deletion],
            to: &store,
            routing: Self.routing
        )
        #expect(first.changed.isEmpty)
        #expect(first.deleted.map(\.user) == ["ann"])
        #expect(store.timeline(of: "ann", in: 0) == nil)

        let again = TimelineUpdate(
            applying: [try record(Event(user: "ann", item: "b", time: 5), offset: 2)],
            to: &store,
            routing: Self.routing
        )
        #expect(again.deleted.isEmpty)
        #expect(again.changed.map(\.timeline.eventCount) == [1])
    }

    @Test func readsEventsInJSON() throws {
        var store = store()
        var json = try record(Event(user: "ann", item: "a", time: 1), offset: 0)
        json.value = Array(#"{"user":"ann","item":"a","rating":4}"#.utf8)
        json.headers = [Header("content-type", "application/json")]
        let update = TimelineUpdate(applying: [json], to: &store, routing: Self.routing)
        #expect(update.rejections.isEmpty)
        // An event without a time happened when the log took it.
        #expect(update.changed.first?.timeline.events == [TimelineEvent(item: "a", rating: 4, time: 1_000)])
    }

    @Test func countsRetriesOfAnEventOnceAndEncodesTheUserOnce() throws {
        var store = store()
        let event = Event(id: "e-1", user: "ann", item: "a", time: 1)
        let update = TimelineUpdate(
            applying: [
                try record(event, offset: 0), try record(event, offset: 1),
                try record(Event(id: "e-1", user: "bob", item: "a", time: 1), offset: 2),
            ],
            to: &store,
            routing: Self.routing
        )
        #expect(update.repeatedCount == 1)
        #expect(update.knownCount == 0)
        #expect(update.changed.map(\.timeline.eventCount) == [1, 1])
        #expect(update.changed.map(\.timeline.lastOffset) == [1, 2])
        let later = TimelineUpdate(applying: [try record(event, offset: 3)], to: &store, routing: Self.routing)
        #expect(later.repeatedCount == 1)
        #expect(later.changed.map(\.timeline.lastOffset) == [3])
        #expect(later.changed.map(\.timeline.eventCount) == [1])
    }

    @Test func usersAndItemsThatDifferInBytesAloneAreDifferent() throws {
        let (composed, decomposed) = ("jos\u{E9}", "jose\u{301}")
        var store = store()
        let events = [(composed, composed), (decomposed, composed), (composed, decomposed)].enumerated().map {
            Event(user: UserID($1.0), item: ItemID($1.1), categories: [$1.0, $1.1], time: Int64($0))
        }
        let records = try events.enumerated().map { try record($1, offset: Int64($0)) }
        var update = TimelineUpdate(applying: records, to: &store, routing: Self.routing)
        #expect(update.rejections.isEmpty)
        #expect(update.changed.map(\.timeline.user) == [UserID(composed), UserID(decomposed)])
        #expect(update.changed.map(\.timeline.eventCount) == [2, 1])
        #expect(store.userCount == 2 && store.itemCount == 2)
        let kept = try #require(store.timeline(of: UserID(composed), in: 0)).events
        #expect(kept.map(\.item) == [ItemID(composed), ItemID(decomposed)])
        #expect(
            kept.map { $0.categories.map { TextKey($0) } } == [
                [TextKey(composed), TextKey(composed)], [TextKey(composed), TextKey(decomposed)],
            ]
        )
        // Whose key and value differ in bytes alone is no event of that key.
        let foreign = try record(events[0], offset: 3, key: decomposed)
        update = TimelineUpdate(applying: [foreign], to: &store, routing: Self.routing)
        #expect(update.rejections.count == 1)
        // Forgetting one leaves the other.
        var deletion = try record(events[0], offset: 4)
        deletion.value = nil
        update = TimelineUpdate(applying: [deletion], to: &store, routing: Self.routing)
        #expect(update.deleted.map(\.user) == [UserID(composed)])
        #expect(store.timeline(of: UserID(composed), in: 0) == nil)
        #expect(store.timeline(of: UserID(decomposed), in: 0)?.eventCount == 1)
    }
}
