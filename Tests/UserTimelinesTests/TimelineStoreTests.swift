import Bytes
import Messages
import Testing

@testable import UserTimelines

@Suite struct TimelineStoreTests {
    private func event(_ index: Int, categories: [String] = [], id: UInt64? = nil) -> TimelineEvent {
        TimelineEvent(
            item: "i\(index)",
            rating: Float(index % 5),
            categories: categories,
            time: Int64(index) * 1_000,
            idDigest: id
        )
    }

    /// Stores a timeline as the log would give it back.
    private func restore(_ timeline: Timeline, into store: inout TimelineStore) throws {
        var columns = TimelineColumns()
        let bytes = try timeline.encoded()
        try columns.read(bytes.span)
        try store.restore(columns, from: bytes.span, in: 0)
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
        #expect(timeline.earlierItems == (0..<7).map { "i\($0)" })
        #expect(store.itemCount == 10)
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
        try restore(new, into: &store)
        try restore(old, into: &store)
        #expect(store.timeline(of: "ann", in: 0)?.eventCount == 5)
        #expect(store.timeline(of: "ann", in: 0)?.events == [event(4), event(5)])
        try restore(rebuilt, into: &store)
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

    @Test func takesLessThan400BytesForFiftyEvents() {
        var store = TimelineStore(length: 50)
        store.open(0)
        let users = 200
        for user in 0..<users {
            for index in 0..<60 {
                _ = store.apply(event((user * 7 + index) % 500), of: "user-\(user)", in: 0, offset: Int64(index))
            }
        }
        // And two for each of the ten items that fell out.
        let perUser = store.byteCount / users
        #expect(perUser <= 400 + 10 * 2, "\(perUser) bytes a user")
    }

    // MARK: - Ids

    @Test func anEventOfAnIDThatTheTimelineHoldsCountsOnce() throws {
        var store = TimelineStore(length: 3)
        store.open(0)
        #expect(store.apply(event(1, id: 11), of: "ann", in: 0, offset: 0) == .applied)
        #expect(store.apply(event(2), of: "ann", in: 0, offset: 1) == .applied)
        let before = try #require(store.timeline(of: "ann", in: 0))
        // Whatever else it says: the id decides.
        #expect(store.apply(event(7, categories: ["New"], id: 11), of: "ann", in: 0, offset: 2) == .repeated)
        let after = try #require(store.timeline(of: "ann", in: 0))
        #expect(after.events == before.events)
        #expect(after.eventCount == 2)
        #expect(after.lastOffset == 2)
        #expect(store.itemCount == 2)
        // Another user's id is another id, and an event without an id is never a repetition.
        #expect(store.apply(event(1, id: 11), of: "bob", in: 0, offset: 3) == .applied)
        #expect(store.apply(event(2), of: "ann", in: 0, offset: 4) == .applied)
        #expect(store.timeline(of: "ann", in: 0)?.eventCount == 3)
    }

    @Test func anIDIsKnownWhileItsEventIsInTheTimeline() {
        var store = TimelineStore(length: 3)
        store.open(0)
        for index in 0..<3 {
            _ = store.apply(event(index, id: UInt64(index + 1)), of: "ann", in: 0, offset: Int64(index))
        }
        #expect(store.apply(event(0, id: 1), of: "ann", in: 0, offset: 3) == .repeated)
        _ = store.apply(event(4), of: "ann", in: 0, offset: 4)
        #expect(store.apply(event(0, id: 1), of: "ann", in: 0, offset: 5) == .applied)
        #expect(store.apply(event(2, id: 3), of: "ann", in: 0, offset: 6) == .repeated)
        #expect(store.timeline(of: "ann", in: 0)?.eventCount == 5)
    }

    @Test func idsSurviveARestoreAndADeletionForgetsThem() throws {
        var first = TimelineStore(length: 3)
        first.open(0)
        _ = first.apply(event(1, id: 11), of: "ann", in: 0, offset: 0)
        var second = TimelineStore(length: 3)
        second.open(0)
        try restore(try #require(first.timeline(of: "ann", in: 0)), into: &second)
        #expect(second.apply(event(1, id: 11), of: "ann", in: 0, offset: 1) == .repeated)
        second.remove("ann", in: 0)
        #expect(second.apply(event(1, id: 11), of: "ann", in: 0, offset: 2) == .applied)
    }

    // MARK: - Against the plain rule

    /// What the store must hold, in the plainest way.
    private struct Model {
        var timelines: [UserID: Timeline] = [:]

        mutating func apply(_ event: TimelineEvent, of user: UserID, offset: Int64, length: Int) {
            var timeline = timelines[user] ?? Timeline(user: user)
            guard offset > timeline.lastOffset else { return }
            timeline.lastOffset = offset
            if event.idDigest == nil || !timeline.events.contains(where: { $0.idDigest == event.idDigest }) {
                timeline.events.append(event)
                timeline.eventCount += 1
                timeline.earlierItems += timeline.events.dropLast(length).map(\.item)
                timeline.events = timeline.events.suffix(length)
                var known = Set(timeline.events.map(\.item))
                let last = timeline.earlierItems.reversed().filter { known.insert($0).inserted }
                timeline.earlierItems = last.prefix(Limits.seenItemCount).reversed()
            }
            timelines[user] = timeline
        }
    }

    @Test(arguments: [1, 7, 20])
    func holdsWhatThePlainRuleHolds(length: Int) throws {
        var random = SystemRandomNumberGenerator()
        var store = TimelineStore(length: length)
        store.open(0)
        var model = Model()
        let names = ["Drama", "War", "Comedy", "Noir", String(repeating: "long", count: 20)]
        let ratings: [Float?] = [nil, 0, 0.5, 5, 30, 30.5, -1, 3.7, -0.0, .greatestFiniteMagnitude]
        let times: [Int64] = [0, 1, 999, 1_000, 978_300_760_000, 978_300_761_000, Limits.times.upperBound]
        let users = (0..<20).map { UserID("user \($0)" + String(repeating: "x", count: $0)) }
        for offset in 0..<20_000 {
            let user = users[Int.random(in: 0..<20, using: &random)]
            let event = TimelineEvent(
                item: "item \(Int.random(in: 0..<400, using: &random))",
                rating: ratings.randomElement(using: &random) ?? nil,
                categories: (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    names[Int.random(in: 0..<5, using: &random)]
                },
                time: times[Int.random(in: 0..<times.count, using: &random)],
                idDigest: Bool.random(using: &random) ? UInt64.random(in: 1...60, using: &random) : nil
            )
            // Some come a second time, as after a commit that was refused.
            let past = Int64(max(0, offset - Int.random(in: 0...2, using: &random)))
            _ = store.apply(event, of: user, in: 0, offset: past)
            model.apply(event, of: user, offset: past, length: length)
            switch Int.random(in: 0..<1_000, using: &random) {
            case 0:
                store.remove(user, in: 0)
                model.timelines[user] = nil
            case 1:
                // As another worker would go on.
                var next = TimelineStore(length: length)
                next.open(0)
                for user in users {
                    if let timeline = store.timeline(of: user, in: 0) { try restore(timeline, into: &next) }
                }
                store = next
            default: break
            }
        }
        for user in users { #expect(store.timeline(of: user, in: 0) == model.timelines[user]) }
        let items = Set(model.timelines.values.flatMap { $0.events.map(\.item) + $0.earlierItems })
        #expect(store.itemCount == items.count)
        #expect(store.userCount == model.timelines.count)
        for user in users { store.remove(user, in: 0) }
        #expect(store.itemCount == 0)
    }

    // MARK: - Sizes

    @Test func aStoredTimelineOfMoreEventsIsCutToTheWindow() throws {
        var store = TimelineStore(length: 4)
        store.open(0)
        let events = (0..<9).map { event($0, categories: ["c\($0)"], id: UInt64($0 + 1)) }
        try restore(Timeline(user: "ann", eventCount: 90, lastOffset: 5, events: events), into: &store)
        #expect(store.timeline(of: "ann", in: 0)?.events == Array(events.suffix(4)))
        #expect(store.timeline(of: "ann", in: 0)?.earlierItems == events.prefix(5).map(\.item))
        #expect(store.itemCount == 9)
        // An id that fell out with its event is not known, one that stayed is.
        #expect(store.apply(events[4], of: "ann", in: 0, offset: 6) == .applied)
        #expect(store.apply(events[8], of: "ann", in: 0, offset: 7) == .repeated)
        #expect(store.timeline(of: "ann", in: 0)?.eventCount == 91)
        // A shorter one grows up to the window.
        try restore(Timeline(user: "bob", eventCount: 2, lastOffset: 9, events: [events[0]]), into: &store)
        for index in 1..<6 { _ = store.apply(event(index), of: "bob", in: 0, offset: Int64(index + 10)) }
        #expect(store.timeline(of: "bob", in: 0)?.events == (2..<6).map { event($0) })
    }

    @Test func eventsThatAreTooLargeTogetherLeaveFromTheOldest() throws {
        var store = TimelineStore(length: 200)
        store.open(0)
        func large(_ index: Int) -> TimelineEvent {
            event(
                index,
                categories: (0..<Limits.categoryCount).map { place in
                    "\(index)-\(place)-" + String(repeating: "c", count: Limits.nameByteCount - 10)
                }
            )
        }
        var held: [TimelineEvent] = []
        for index in 0..<120 {
            let event = index % 40 == 39 ? event(index) : large(index)
            _ = store.apply(event, of: "ann", in: 0, offset: Int64(index))
            held.append(event)
            while held.reduce(0, { $0 + $1.storedByteCount }) > Limits.timelineByteCount { held.removeFirst() }
        }
        let timeline = try #require(store.timeline(of: "ann", in: 0))
        #expect(timeline.events == held)
        #expect(timeline.eventCount == 120)
        #expect(held.count > 50)
        let bytes = try timeline.encoded()
        #expect(bytes.count < 1_000_000)
        // Another worker holds the same.
        var next = TimelineStore(length: 200)
        next.open(0)
        try restore(timeline, into: &next)
        #expect(next.timeline(of: "ann", in: 0) == timeline)
        _ = store.apply(large(200), of: "ann", in: 0, offset: 200)
        _ = next.apply(large(200), of: "ann", in: 0, offset: 200)
        #expect(next.timeline(of: "ann", in: 0) == store.timeline(of: "ann", in: 0))
    }

    @Test func aTextThatNoEventHasIsRefused() throws {
        // items = ["\0"]
        let bytes: [UInt8] = [0x0A, 1, 0x75, 0x18, 1, 0x32, 1, 0, 0x52, 1, 0, 0x6A, 1, 2]
        var columns = TimelineColumns()
        try columns.read(bytes.span)
        var store = TimelineStore(length: 2)
        #expect(throws: MessageError.self) { try store.restore(columns, from: bytes.span, in: 0) }
    }
}
