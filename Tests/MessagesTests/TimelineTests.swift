import Bytes
import Messages
import Testing

@Suite struct TimelineTests {
    private func coded(_ timeline: Timeline) throws -> Timeline {
        try Timeline(decoding: timeline.encoded(), contentType: nil)
    }

    @Test func fiftyEventsOfAFilmSiteTakeLessThanAKilobyte() throws {
        let genres = ["Action", "Adventure", "Comedy", "Drama", "Sci-Fi", "Thriller", "War", "Western"]
        var events: [TimelineEvent] = []
        for index in 0..<50 {
            let list = (0...index % 3).map { genres[(index / 3 + $0 * 3) % 8] }
            let time: Int64 = 978_300_760_000 + Int64(index) * 37_000
            events.append(
                TimelineEvent(item: "\(3_000 + index)", rating: Float(index % 5 + 1), categories: list, time: time)
            )
        }
        let timeline = Timeline(user: "6040", eventCount: 50, events: events)
        let byteCount = try timeline.encoded().count
        #expect(byteCount < 750, "\(byteCount) bytes")
        #expect(try coded(timeline) == timeline)
        // An id costs its digest.
        for index in events.indices { events[index].idDigest = UInt64(index + 1) << 40 }
        let identified = Timeline(user: "6040", eventCount: 50, events: events)
        let identifiedCount = try identified.encoded().count
        #expect(identifiedCount <= byteCount + 50 * 8 + 3)
        #expect(try coded(identified) == identified)
    }

    @Test func everyNumberAnEventMayHaveComesBack() throws {
        let events = [
            TimelineEvent(item: "a", rating: -0.0, time: Limits.times.upperBound, idDigest: .max),
            TimelineEvent(item: "b", rating: 0, time: 0, idDigest: 1),
            TimelineEvent(item: "a", rating: .greatestFiniteMagnitude, time: Limits.times.upperBound),
            TimelineEvent(item: "é", rating: .leastNonzeroMagnitude, categories: ["x", "x", "y"], time: 1),
        ]
        let timeline = Timeline(
            user: "u",
            generation: 1_000_000,
            eventCount: UInt64(Int64.max),
            lastOffset: .max - 1,
            sources: [
                Timeline.Source(partition: 0, offset: 0), Timeline.Source(partition: 3, offset: .max - 1),
                Timeline.Source(partition: .max, offset: 1_000_000_007),
            ],
            events: events
        )
        let found = try coded(timeline)
        #expect(found == timeline)
        #expect(found.events[0].rating?.sign == .minus)
        let json = try timeline.encodedJSON()
        #expect(try Timeline(decoding: json, contentType: "application/json") == timeline)
        #expect(String(decoding: json, as: UTF8.self).contains(#""event_id_digest":"ffffffffffffffff""#))
    }

    @Test(
        arguments: [
            [(-1, 0)], [(0, -1)], [(0, Int64.max)], [(1, 0), (1, 1)], [(2, 0), (1, 0)],
        ] as [[(Int32, Int64)]]
    )
    func sourcesThatCannotBeAreRefused(sources: [(Int32, Int64)]) throws {
        let sources = sources.map { Timeline.Source(partition: $0.0, offset: $0.1) }
        let event = TimelineEvent(item: "a", time: 1)
        let timeline = Timeline(user: "u", eventCount: 1, lastOffset: 0, sources: sources, events: [event])
        let error = #expect(throws: MessageError.self) { try timeline.encoded() }
        #expect(error?.field?.hasPrefix("source_") == true)
        // As anybody might write it: u, one event of "a", and the columns of the sources.
        func varint(_ value: UInt64) -> [UInt8] {
            value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
        }
        var bytes: [UInt8] = [0x0A, 1, 0x75, 0x18, 1, 0x32, 1, 0x61, 0x52, 1, 0, 0x6A, 1, 2]
        for source in sources {
            bytes += [0x80, 0x01] + varint(UInt64(UInt32(bitPattern: source.partition)))
            bytes += [0x88, 0x01] + varint(UInt64(bitPattern: source.offset))
        }
        #expect(throws: MessageError.self) { try Timeline(decoding: bytes, contentType: nil) }
        #expect(throws: MessageError.self) { try Timeline(decoding: bytes + [0x80, 0x01, 9], contentType: nil) }
    }

    @Test func theMostSourcesFitIntoTheLogBesideTheGreatestEvents() throws {
        let sources = (0..<Limits.sourceCount).map {
            Timeline.Source(partition: Int32.max - 5_000 + Int32($0), offset: .max - 1)
        }
        let event = TimelineEvent(item: "a", time: 1)
        let timeline = Timeline(user: "u", eventCount: 1, lastOffset: 0, sources: sources, events: [event])
        let bytes = try timeline.encoded()
        #expect(try coded(timeline) == timeline)
        #expect(bytes.count + Limits.timelineByteCount < 1_048_576 - 1_000)
    }

    @Test func theGreatestEventsFitIntoTheLogAtFifty() throws {
        let padding = String(repeating: "i", count: Limits.identifierByteCount - 4)
        let events = (0..<50).map { index in
            TimelineEvent(
                item: ItemID("\(1_000 + index)" + padding),
                rating: Float(index) + 0.123,
                categories: (0..<Limits.categoryCount).map {
                    "\(100_000 + index * 64 + $0)" + String(repeating: "c", count: Limits.nameByteCount - 6)
                },
                time: index.isMultiple(of: 2) ? Limits.times.upperBound : 0,
                idDigest: .max
            )
        }
        let user = UserID(String(repeating: "u", count: Limits.identifierByteCount))
        let timeline = Timeline(user: user, generation: 1_000_000, eventCount: 50, lastOffset: .max - 1, events: events)
        let sum = events.reduce(0) { $0 + $1.storedByteCount }
        #expect(sum <= Limits.timelineByteCount)
        #expect(sum == 866_000)
        let byteCount = try timeline.encoded().count
        #expect(byteCount <= sum + 1_000, "\(byteCount) bytes")
        #expect(byteCount + user.utf8.count < 1_000_000)
        #expect(try coded(timeline) == timeline)
    }

    @Test func aRecordNeverTakesMoreThanItsEventsSay() throws {
        // As many events as a record may have, so that every number is as long as it gets.
        let events = (0..<Limits.timelineEventCount).map { index in
            TimelineEvent(
                item: "i\(index)",
                rating: Float(index) * 0.3,
                categories: ["c\(index)", "d\(index)"],
                time: index.isMultiple(of: 2) ? Limits.times.upperBound : 0,
                idDigest: .max - UInt64(index)
            )
        }
        let timeline = Timeline(user: "u", eventCount: 10_000, events: events)
        let sum = events.reduce(0) { $0 + $1.storedByteCount }
        #expect(try timeline.encoded().count <= sum + 1_000)
        #expect(try coded(timeline) == timeline)
    }

    @Test func earlierItemsTakeTheirIDsAndAreReadAgain() throws {
        let events = (0..<50).map { TimelineEvent(item: "\($0)", rating: 4, time: Int64($0) * 1_000) }
        var timeline = Timeline(user: "u", eventCount: 2_000, events: events)
        let byteCount = try timeline.encoded().count
        timeline.earlierItems = (0..<1_000).map { ItemID("\(1_000 + $0)") }
        #expect(try coded(timeline) == timeline)
        #expect(try timeline.encoded().count - byteCount == 1_000 * (4 + 2) + 4)
        #expect(try Timeline(decoding: timeline.encodedJSON(), contentType: nil) == timeline)
        // Of all items the last thousand are seen, those of the events first.
        #expect(timeline.seenItems.count == 1_000)
        #expect(Set(timeline.seenItems) == Set(events.map(\.item) + timeline.earlierItems.suffix(950)))
        timeline.earlierItems.append("one too many")
        let error = #expect(throws: MessageError.self) { try timeline.encoded() }
        #expect(error?.field == "earlier_items")
    }

    @Test func eventsAloneMayHaveMoreItemsThanAreSeen() {
        let events = (0..<3_000).map { TimelineEvent(item: "\($0 / 2)", time: Int64($0)) }
        let timeline = Timeline(user: "u", eventCount: 3_000, events: events, earlierItems: [])
        #expect(Set(timeline.seenItems) == Set((500..<1_500).map { ItemID("\($0)") }))
    }

    @Test func digestsDifferWhereIDsDoAndAreTheFirstBytesOfTheirHash() {
        #expect(TimelineEvent.digest(ofID: "e-1") == 0xd8ac_aa96_3152_4fb9)
        #expect(TimelineEvent.digest(ofID: "grüße") == 0xe4b6_c684_add1_8582)
        let digests = Set((0..<100_000).map { TimelineEvent.digest(ofID: "\($0)") })
        #expect(digests.count == 100_000)
        let event = Event(id: "e-1", user: "u", item: "i", time: 1)
        #expect(TimelineEvent(event).idDigest == 0xd8ac_aa96_3152_4fb9)
    }

    /// A field that is wrong, and what the error says.
    struct Damage: Sendable {
        let number: UInt8
        let bytes: [UInt8]
        let field: String?
        let reason: String

        init(_ number: UInt8, _ bytes: [UInt8], _ field: String?, _ reason: String) {
            self.number = number
            self.bytes = bytes
            self.field = field
            self.reason = reason
        }
    }

    @Test(arguments: [
        Damage(1, [0x0A, 0], "user", "empty"),
        Damage(3, [0x18, 0], "events", "no more than event_count"),
        Damage(3, [0x18] + [UInt8](repeating: 0x80, count: 11) + [1], nil, "does not end"),
        Damage(6, [0x32, 1, 0xFF], "items[0]", "UTF-8"),
        Damage(6, [0x32, 0], "events[0].item", "empty"),
        Damage(7, [0x3A, 2, 0x62, 0], "events[0].categories[0]", "NUL"),
        Damage(8, [0x42, 2, 3, 0], "category_lists", "a list of 3 entries"),
        Damage(8, [0x42, 1, 0], "category_lists", "a list of 0 entries"),
        Damage(8, [0x42, 2, 1, 1], "category_lists[1]", "is 1"),
        Damage(8, [0x42, 66, 65] + [UInt8](repeating: 0, count: 65), "category_lists", "at most 64"),
        Damage(9, [0x4A, 4, 0, 0, 0x80, 0x7F], "ratings[0]", "inf"),
        Damage(9, [0x4A, 3, 0, 0, 0x80], nil, "cut off"),
        Damage(10, [0x52, 1, 1], "event_items[0]", "is 1"),
        Damage(10, [0x52, 2, 0, 0], "events", "2 entries"),
        Damage(15, [0x7A, 9, 0], nil, "cut off"),
        Damage(10, [0x52, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], nil, "32 bits"),
        Damage(10, [], "event_times", "1 entries for 0 events"),
        Damage(11, [0x5A, 1, 2], "event_category_lists[0]", "is 2"),
        Damage(12, [0x62, 1, 2], "event_ratings[0]", "is 2"),
        Damage(12, [0x62, 2, 1, 1], "event_ratings", "2 entries for 1 events"),
        Damage(13, [0x6A, 2, 2, 2], "event_times", "2 entries for 1 events"),
        Damage(13, [0x6A, 1, 1], "event_times[0]", "not a time"),
        Damage(13, [0x6A] + [10] + [UInt8](repeating: 0xFF, count: 9) + [1], "event_times[0]", "not a time"),
        Damage(14, [0x70, 0], "time_unit", "0 is not"),
        Damage(15, [0x7A, 16] + [UInt8](repeating: 1, count: 16), "event_ids", "2 entries for 1 events"),
        Damage(16, [0x07], nil, "no field"),
        Damage(18, [0x90, 1, 1], "earlier_items", "more of both than event_count"),
        Damage(18, [0x18, 5, 0x90, 1, 2], "earlier_item_count", "is 2, and items has 1"),
        Damage(18, [0x18, 5, 0x90, 1, 1], "event_items[0]", "is 0"),
        Damage(18, [0x18, 0xFF, 0x7F, 0x90, 1, 0xE9, 7], "earlier_items", "at most 1000"),
        Damage(18, [0x90, 1] + [UInt8](repeating: 0xFF, count: 9) + [1], nil, "32 bits"),
        Damage(18, [0x18, 5, 0x32, 1, 0xFF, 0x90, 1, 1], "items[1]", "UTF-8"),
        Damage(18, [0x18, 5, 0x32, 0, 0x90, 1, 1], "earlier_items[0]", "empty"),
    ])
    func aDamagedFieldIsNamed(damage: Damage) throws {
        let right: [UInt8: [UInt8]] = [
            1: [0x0A, 1, 0x75], 3: [0x18, 1], 6: [0x32, 1, 0x61], 7: [0x3A, 1, 0x62], 8: [0x42, 2, 1, 0],
            9: [0x4A, 4, 0, 0, 0x80, 0x3F], 10: [0x52, 1, 0], 11: [0x5A, 1, 1], 12: [0x62, 1, 1], 13: [0x6A, 1, 2],
        ]
        func bytes(_ fields: [UInt8: [UInt8]]) -> [UInt8] { fields.sorted { $0.key < $1.key }.flatMap(\.value) }
        let event = TimelineEvent(item: "a", rating: 1, categories: ["b"], time: 1)
        #expect(
            try Timeline(decoding: bytes(right), contentType: nil)
                == Timeline(user: "u", eventCount: 1, events: [event])
        )
        var wrong = right
        wrong[damage.number] = damage.bytes
        let error = #expect(throws: MessageError.self) { try Timeline(decoding: bytes(wrong), contentType: nil) }
        #expect(error?.field == damage.field)
        #expect(error?.reason.contains(damage.reason) == true, "\(String(describing: error))")
    }

    @Test func bytesOfAnyKindDoNotCrashTheReader() throws {
        let events = (0..<6).map { index in
            TimelineEvent(item: "i\(index)", rating: 3, categories: ["a", "b"], time: Int64(index), idDigest: 7)
        }
        let bytes = try Timeline(user: "u", eventCount: 9, events: events).encoded()
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<50_000 {
            var damaged = bytes
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                damaged[Int.random(in: damaged.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { damaged.removeLast(Int.random(in: 0..<damaged.count, using: &random)) }
            do throws(MessageError) {
                let timeline = try Timeline(decoding: damaged, contentType: nil)
                // What is accepted can be written.
                _ = try timeline.encoded()
            } catch {
                refused += 1
            }
        }
        #expect(refused > 10_000)
    }

    @Test func itemsAndCategoriesThatDifferInBytesAloneStayDifferent() throws {
        let names = ["caf\u{E9}", "cafe\u{301}", "\u{212B}", "\u{C5}"]
        let events = names.enumerated().map {
            TimelineEvent(item: ItemID($1), categories: [$1, names[3 - $0]], time: Int64($0))
        }
        let found = try coded(Timeline(user: "u", eventCount: 4, events: events)).events
        #expect(found.map(\.item) == names.map { ItemID($0) })
        #expect(found.map { $0.categories.map { TextKey($0) } } == events.map { $0.categories.map { TextKey($0) } })
    }
}
