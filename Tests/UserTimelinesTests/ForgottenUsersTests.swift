import Bytes
import Messages
import Flows
import MessageLogs
import Testing

@testable import UserTimelines

/// Users who were deleted, and records that are sent on a second time.
@Suite struct ForgottenUsersTests {
    /// What was stored, and a worker that restores it.
    private struct Bench {
        var timelines = Timelines(length: 10, partitionCount: 4)
        /// As the commits left it.
        var stored: [Record] = []

        init() async { await restart() }

        /// What another worker has.
        mutating func restart() async {
            timelines = Timelines(length: 10, partitionCount: 4)
            for partition: Int32 in 0..<4 { await timelines.open(partition) }
            let ends: [Int32: Int64] = [0: 100_000, 1: 100_000, 2: 100_000, 3: 100_000]
            let restored = await timelines.restore(stored[...], ends: ends)
            #expect(restored.recordCount == stored.count && restored.refusals == [] && restored.foreignCount == 0)
            for partition: Int32 in 0..<4 { await timelines.finishRestore(of: partition) }
        }

        /// Takes records that are committed together; `surviving` says which keys of the commit's outputs are there once it
        /// broke off, nil that all are.
        mutating func apply(_ records: [Record], surviving: Set<[UInt8]>? = nil) async throws -> TimelineUpdate {
            let ends: [Int32: Int64] = [0: 100_000, 1: 100_000, 2: 100_000, 3: 100_000]
            let update = await timelines.apply(records, ends: ends)
            var outputs: [(Int32, key: [UInt8], value: [UInt8]?)] = []
            outputs += try update.forgotten.map { ($0.partition, ForgottenMarks.key, try $0.marks.encoded()) }
            outputs += update.deleted.map { ($0.partition, Array($0.user.utf8), nil) }
            outputs += try update.changed.map {
                ($0.partition, Array($0.timeline.user.utf8), try $0.timeline.encoded())
            }
            for (partition, key, value) in outputs where surviving?.contains(key) ?? true {
                let source = TopicPartition(Topic.userTimelines.rawValue, partition)
                stored.append(
                    Record(source: source, offset: Int64(stored.count), timestamp: 0, key: key, value: value)
                )
            }
            return update
        }
    }

    private static func partition(of user: UserID) -> Int32 { Partitioner.partition(of: Array(user.utf8), count: 4) }

    private static let own = partition(of: "ann")
    /// A partition that is not ann's.
    fileprivate static let other = (own + 1) % 4
    /// Another user of ann's partition.
    private static let bob =
        (0..<100).map { UserID("bob\($0)") }.first { partition(of: $0) == own } ?? ""

    /// A record of `user-events` in its user's partition; a place in another one sent it on.
    private static func record(
        _ user: UserID,
        _ item: ItemID? = "i",
        at offset: Int64,
        from place: Int64? = nil,
        of source: Int32 = other
    ) throws -> Record {
        Record(
            source: TopicPartition(Topic.userEvents.rawValue, partition(of: user)),
            offset: offset,
            timestamp: 0,
            key: Array(user.utf8),
            value: try item.map { try Event(user: user, item: $0, time: 5).encoded() },
            headers: place.map { [Header(FirstPlace.header, "\(source) \($0) 5 1")] } ?? []
        )
    }

    /// A record of `user-timelines` with marks.
    private static func stored(_ value: [UInt8]?) -> Record {
        let source = TopicPartition(Topic.userTimelines.rawValue, own)
        return Record(source: source, offset: 0, timestamp: 0, key: ForgottenMarks.key, value: value)
    }

    // MARK: - What is sent on again

    @Test(arguments: [false, true])
    func anEventThatIsSentOnAgainDoesNotBringItsUserBack(restarts: Bool) async throws {
        var bench = await Bench()
        _ = try await bench.apply([
            Self.record("ann", at: 10, from: 3), Self.record(Self.bob, at: 11, from: 4), Self.record("ann", at: 12),
        ])
        let deleted = try await bench.apply([Self.record("ann", nil, at: 13)])
        #expect(
            deleted.deleted.map(\.user) == ["ann"] && deleted.forgotten.map(\.partition) == [Self.own]
        )
        let mark = ForgottenMarks.Mark(partition: Self.other, offset: 3, deletion: 13)
        #expect(deleted.forgotten.first?.marks == ForgottenMarks(recent: [mark]))
        if restarts { await bench.restart() }

        let again = try await bench.apply([
            Self.record("ann", at: 20, from: 3), Self.record(Self.bob, at: 21, from: 4),
        ])
        #expect(again.knownCount == 2 && again.changed.map(\.timeline.user) == [Self.bob] && again.forgotten.isEmpty)
        #expect(again.changed.map(\.timeline.eventCount) == [1])
        // What comes the first time counts, from there and from elsewhere.
        let third = (Self.other + 1) % 4
        let new = try await bench.apply([
            Self.record("ann", at: 30, from: 5), Self.record("ann", at: 31, from: 0, of: third),
            Self.record("ann", at: 32),
        ])
        #expect(new.knownCount == 0 && new.changed.map(\.timeline.eventCount) == [3])
    }

    @Test(arguments: [false, true])
    func aDeletionThatIsSentOnAgainLeavesWhatCameAfterIt(restarts: Bool) async throws {
        var bench = await Bench()
        // Of a user who was never seen too: the next one may be.
        _ = try await bench.apply([Self.record("ann", at: 10), Self.record("ann", nil, at: 11, from: 7)])
        if restarts { await bench.restart() }
        _ = try await bench.apply([Self.record("ann", "new", at: 12)])
        if restarts { await bench.restart() }
        let again = try await bench.apply([Self.record("ann", nil, at: 20, from: 7)])
        #expect(again.deleted.isEmpty && again.knownCount == 1)
        #expect(again.changed.first?.timeline.events.map(\.item) == ["new"])
        // A new one forgets.
        let new = try await bench.apply([Self.record("ann", nil, at: 21, from: 8)])
        #expect(new.deleted.map(\.user) == ["ann"])
        #expect(await bench.timelines.size.users == 0)
    }

    @Test func aDeletionOfNobodyThatIsSentOnIsKnownToo() async throws {
        var bench = await Bench()
        let first = try await bench.apply([Self.record("ann", nil, at: 1, from: 7), Self.record("ann", at: 2)])
        #expect(first.deleted.map(\.user) == ["ann"] && first.changed.map(\.timeline.eventCount) == [1])
        await bench.restart()
        let again = try await bench.apply([Self.record("ann", nil, at: 3, from: 7)])
        #expect(again.deleted.isEmpty && again.changed.map(\.timeline.eventCount) == [1])
    }

    // MARK: - Commits that broke off

    /// Of the last commit only the marks are there: its records are taken again, and those before the deletion count.
    @Test func aMarkThatSurvivedAloneHidesNothingBeforeItsDeletion() async throws {
        let batch = [
            try Self.record(Self.bob, at: 10, from: 2), try Self.record("ann", at: 11, from: 3),
            try Self.record("ann", nil, at: 12), try Self.record("ann", at: 13, from: 3),
            try Self.record(Self.bob, at: 14, from: 4),
        ]
        var bench = await Bench()
        let first = try await bench.apply(batch, surviving: [ForgottenMarks.key])
        #expect(bench.stored.count == 1)
        await bench.restart()
        let again = try await bench.apply(batch)
        #expect(again.knownCount == 1 && again.deleted.map(\.user) == ["ann"])
        #expect(again.changed.map(\.timeline) == first.changed.map(\.timeline))
        #expect(again.changed.map(\.timeline.user) == [Self.bob] && again.changed.map(\.timeline.eventCount) == [2])
        // They are there already.
        #expect(again.forgotten.isEmpty)
    }

    /// The group's offset is that of long ago: whatever is read again, the user is gone at the end, and with a worker that
    /// comes in the middle too.
    @Test(arguments: [0, 1, 2, 3, 4, 5, 6, 7], [false, true])
    func aUserWhoIsReadAgainIsForgottenAgain(start: Int, isLongAgo: Bool) async throws {
        let records = [
            try Self.record("ann", at: 10, from: 3), try Self.record("ann", at: 11),
            try Self.record("ann", nil, at: 12, from: 6), try Self.record("ann", at: 13, from: 3),
            try Self.record("ann", at: 14), try Self.record("ann", nil, at: 15, from: 7),
            try Self.record("ann", nil, at: 16, from: 6), try Self.record("ann", at: 17, from: 3),
        ]
        var bench = await Bench()
        _ = try await bench.apply(records)
        if isLongAgo {
            _ = try await bench.apply([Self.record(Self.bob, nil, at: 30_000, from: 9)])
            _ = try await bench.apply([Self.record(Self.bob, nil, at: 60_000, from: 10)])
        }
        for record in records[start...] {
            await bench.restart()
            _ = try await bench.apply([record])
        }
        #expect(await bench.timelines.size.users == 0)
        let marks = try #require(bench.stored.last { $0.key == ForgottenMarks.key }?.value)
        let settled = try ForgottenMarks(decoding: marks, contentType: nil).settled
        #expect(settled.map(\.offset) == (isLongAgo ? [9] : []))
    }

    /// Each part of a batch is a commit of its own.
    @Test func moreDeletionsThanMarksFitIntoARecordAreCommittedInParts() async throws {
        let users = (0..<40_000).map { UserID("u\($0)") }.filter { Self.partition(of: $0) == Self.own }
        var store = TimelineStore(length: 10)
        for partition: Int32 in 0..<4 { store.open(partition) }
        let records = try users.prefix(9_000).enumerated().map { index, user in
            try Self.record(user, nil, at: 100 + Int64(index), from: Int64(index))
        }
        try #require(records.count == 9_000)
        let routing = EventRouting(partitionCount: 4, ends: [Self.other: 10_000])
        var rest = records[...]
        var counts: [Int] = []
        while !rest.isEmpty {
            let update = TimelineUpdate(applying: Array(rest), to: &store, routing: routing)
            counts.append(update.recordCount)
            rest = rest.dropFirst(update.recordCount)
            let marks = try #require(update.forgotten.first?.marks)
            #expect(marks.settled.isEmpty && marks.recent.count == counts.reduce(0, +))
            #expect(try marks.encoded().count < 100_000)
        }
        #expect(counts == [4_096, 4_096, 808])
    }

    // MARK: - What is stored

    @Test func withoutRecordsThatWereSentOnThereAreNoMarks() async throws {
        var bench = await Bench()
        let update = try await bench.apply([
            Self.record("ann", at: 1), Self.record("ann", nil, at: 2), Self.record("ann", at: 3),
            Self.record(Self.bob, nil, at: 4), Self.record(Self.bob, at: 5, from: 1),
        ])
        #expect(update.forgotten.isEmpty && !bench.stored.contains { $0.key == ForgottenMarks.key })
    }

    @Test func aPartitionThatGoesElsewhereTakesItsMarksWithIt() async throws {
        var bench = await Bench()
        _ = try await bench.apply([Self.record("ann", at: 1, from: 3), Self.record("ann", nil, at: 2)])
        for isDropped in [true, false] {
            if isDropped { await bench.timelines.drop([Self.own]) }
            await bench.timelines.open(Self.own)
            #expect(try await bench.apply([Self.record("ann", at: 9, from: 3)]).changed.count == 1)
            _ = try await bench.apply([Self.record("ann", nil, at: 10)])
        }
    }

    @Test(
        arguments: [
            (ForgottenMarks(settled: [.init(partition: 4, offset: 0)], settledUntil: 0), "settled_partitions"),
            (
                ForgottenMarks(settled: [.init(partition: ForgottenUsersTests.other, offset: 50)], settledUntil: 0),
                "settled_offsets"
            ),
            (
                ForgottenMarks(settled: [.init(partition: ForgottenUsersTests.other, offset: 0)], settledUntil: 100),
                "settled_until"
            ),
            (ForgottenMarks(recent: [.init(partition: .max, offset: 0, deletion: 0)]), "recent_partitions"),
            (
                ForgottenMarks(recent: [.init(partition: ForgottenUsersTests.other, offset: 50, deletion: 0)]),
                "recent_offsets"
            ),
            (
                ForgottenMarks(recent: [.init(partition: ForgottenUsersTests.other, offset: .max - 1, deletion: 0)]),
                "recent_offsets"
            ),
            (
                ForgottenMarks(recent: [.init(partition: ForgottenUsersTests.other, offset: 4, deletion: 100)]),
                "recent_deletions"
            ),
            (nil, nil),
        ] as [(ForgottenMarks?, String?)]
    )
    func marksThatCannotBeAreRefusedAndEarlierOnesStay(forged: ForgottenMarks?, field: String?) async throws {
        let timelines = Timelines(length: 10, partitionCount: 4)
        await timelines.open(Self.own)
        let honest = ForgottenMarks(settled: [Timeline.Source(partition: Self.other, offset: 3)], settledUntil: 99)
        var ends: [Int32: Int64] = [0: 50, 1: 50, 2: 50, 3: 50]
        ends[Self.own] = 100
        let values = [try honest.encoded(), try forged?.encoded() ?? [0x08]]
        let restored = await timelines.restore(values.map { Self.stored($0) }[...], ends: ends)
        #expect(restored.recordCount == 2 && restored.refusedCount == 1 && restored.foreignCount == 0)
        #expect(restored.refusals.first?.field == field)
        let known = try Self.record("ann", at: 60, from: 3)
        #expect(await timelines.apply([known], ends: ends).knownCount == 1)
    }

    @Test(arguments: [(count: 1, known: 3), (count: 2, known: 9), (count: 3, known: 5), (count: 4, known: -1)])
    func ofSeveralMarksTheLastHold(count: Int, known: Int64) async throws {
        let values: [[UInt8]?] =
            try [3, 9, 5].map {
                try ForgottenMarks(settled: [Timeline.Source(partition: Self.other, offset: $0)], settledUntil: 0)
                    .encoded()
            } + [nil]
        let timelines = Timelines(length: 10, partitionCount: 4)
        await timelines.open(Self.own)
        let ends: [Int32: Int64] = [0: 100_000, 1: 100_000, 2: 100_000, 3: 100_000]
        let restored = await timelines.restore(values.prefix(count).map { Self.stored($0) }[...], ends: ends)
        #expect(restored.recordCount == count && restored.refusedCount == 0)
        for place: Int64 in [9, 5, 3] {
            let record = try Self.record("ann", at: 1, from: place)
            let update = await timelines.apply([record], ends: ends)
            #expect(update.rejections.isEmpty && update.knownCount == (place <= known ? 1 : 0))
            await timelines.open(Self.own)
            _ = await timelines.restore(values.prefix(count).map { Self.stored($0) }[...], ends: ends)
        }
    }
}
