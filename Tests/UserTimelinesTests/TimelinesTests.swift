import Foundation
import Bytes
import Messages
import Flows
import MessageLogs
import TestSupport
import Testing

@testable import UserTimelines

@Suite struct TimelinesTests {
    private func timeline(_ user: UserID, _ range: Range<Int>, count: Int, offset: Int64) -> Timeline {
        Timeline(
            user: user,
            eventCount: UInt64(count),
            lastOffset: offset,
            events: range.map { TimelineEvent(item: "i\($0)", categories: ["c\($0 % 3)"], time: Int64($0)) }
        )
    }

    private func record(_ user: UserID, _ value: [UInt8]?, offset: Int64) -> Record {
        Record(
            source: TopicPartition(Topic.userTimelines.rawValue, 0),
            offset: offset,
            timestamp: 0,
            key: Array(user.utf8),
            value: value
        )
    }

    /// What the timelines hold of a user: an event that was applied before changes nothing.
    private func held(_ user: UserID, in timelines: Timelines) async throws -> Timeline? {
        let event = Event(user: user, item: "?", time: 0)
        let record = Record(
            source: TopicPartition(Topic.userEvents.rawValue, 0),
            offset: -1,
            timestamp: 0,
            key: Array(user.utf8),
            value: try event.encoded()
        )
        return await timelines.apply([record]).changed.first?.timeline
    }

    private func restore(in timelines: Timelines, _ records: [Record]) async {
        let restored = await timelines.restore(records[...], ends: [0: 100])
        #expect(restored.recordCount == records.count && restored.refusedCount == 0 && restored.foreignCount == 0)
    }

    @Test func restoresSeveralRecordsOfAUserWithDeletionsBetween() async throws {
        let timelines = Timelines(length: 10, partitionCount: 1)
        await timelines.open(0)
        let ann = timeline("ann", 0..<3, count: 3, offset: 7)
        let bob = timeline("bob", 0..<5, count: 5, offset: 9)
        let newBob = timeline("bob", 2..<8, count: 8, offset: 12)
        let newAnn = timeline("ann", 5..<6, count: 1, offset: 20)
        let cid = timeline("cid", 0..<2, count: 2, offset: 3)
        await restore(
            in: timelines,
            [
                record("ann", try ann.encoded(), offset: 0), record("bob", try newBob.encoded(), offset: 1),
                // Older than what is held, as after a compaction of another order: ignored.
                record("bob", try bob.encoded(), offset: 2),
                record("cid", try cid.encoded(), offset: 3), record("ann", nil, offset: 4),
            ]
        )
        await restore(
            in: timelines,
            [
                record("ann", try newAnn.encoded(), offset: 5), record("cid", nil, offset: 6),
                record("dan", nil, offset: 7),
            ]
        )
        #expect(try await held("ann", in: timelines) == newAnn)
        #expect(try await held("bob", in: timelines) == newBob)
        let size = await timelines.size
        #expect(size.users == 2)
        #expect(size.items == 6)
    }

    /// Records come again that the state holds already: an event, a deletion before it, and one that was rejected.
    ///
    /// An event of a user without a timeline counts: the commit that brought the state may have broken off before it.
    @Test func whatTheStateHoldsChangesNothingWhenItComesAgain() async throws {
        func event(_ user: UserID, offset: Int64, _ value: [UInt8]?) -> Record {
            Record(
                source: TopicPartition(Topic.userEvents.rawValue, 0),
                offset: offset,
                timestamp: 0,
                key: Array(user.utf8),
                value: value
            )
        }
        func bytes(_ user: UserID) throws -> [UInt8] { try Event(user: user, item: "x", time: 9).encoded() }
        let timelines = Timelines(length: 5, partitionCount: 1)
        await timelines.open(0)
        let ann = timeline("ann", 0..<2, count: 2, offset: 9)
        await restore(in: timelines, [record("ann", try ann.encoded(), offset: 0)])
        let known = event("ann", offset: 3, [0xff])
        await timelines.restore(
            [Rejection(of: known, reason: "", service: "encoder-worker", time: 0)],
            of: TopicPartition(Topic.userEvents.rawValue, 0)
        )
        let again = await timelines.apply([
            event("ann", offset: 2, try bytes("ann")), known, event("ann", offset: 4, nil),
            event("bob", offset: 5, try bytes("bob")), event("ann", offset: 9, try bytes("ann")),
        ])
        #expect(again.changed.map(\.timeline.user) == ["ann", "bob"] && again.changed.first?.timeline == ann)
        #expect(again.deleted.isEmpty && again.rejections.isEmpty && again.knownCount == 4)
        let new = await timelines.apply([event("ann", offset: 11, nil), event("ann", offset: 12, [0xff])])
        #expect(new.changed.isEmpty && new.deleted.map(\.user) == ["ann"])
        #expect(new.rejections.map(\.record.offset) == [12])
    }

    /// Whoever may write to the topic may have written it: the worker neither stops for it nor believes it.
    @Test func whatIsNoTimelineOfItsKeyIsPassedOver() async throws {
        let timelines = Timelines(length: 10, partitionCount: 1)
        await timelines.open(0)
        let ann = timeline("ann", 0..<3, count: 3, offset: 7)
        let good = try ann.encoded()
        // An item that is no text, behind one that is: nothing of it may stay in the tables.
        var damaged = try timeline("bob", 0..<2, count: 2, offset: 7).encoded()
        let place = try #require(damaged.firstRange(of: Array("i1".utf8)))
        damaged.replaceSubrange(place, with: [0xff, 0xfe])
        var keyless = record("ann", good, offset: 9)
        keyless.key = nil
        var foreign = record("ann", nil, offset: 10)
        foreign.key = [0xff]
        let restored = await timelines.restore(
            [
                record("ann", good, offset: 0), record("bob", good, offset: 5), record("ann", [1, 2, 3], offset: 6),
                record("bob", damaged, offset: 7), keyless, foreign,
            ],
            ends: [0: 100]
        )
        await timelines.finishRestore(of: 0)
        #expect(restored.recordCount == 6 && restored.refusedCount == 5 && restored.refusals.count == 5)
        #expect(restored.refusals.first?.reason.contains("user-timelines/0 offset 5") == true)
        #expect(try await held("ann", in: timelines) == ann)
        // Three items of ann; bob is there to begin anew.
        let size = await timelines.size
        #expect(size.items == 3 && size.users == 2)
    }

    /// What no log can have made would stop the worker, or keep out the user's events, for ever.
    @Test(arguments: [
        (UInt32(0), UInt64(Int64.max), Int64(7)), (0, .max, 7), (0, 2, .max), (0, 2, .max - 1), (0, 2, 100), (0, 2, -2),
        (0, 2, .min), (0, 2, -1), (.max, 2, 7), (1_000_001, 2, 7), (0, 1_000_101, 7), (0, 1, 7), (5, 2, 100),
    ])
    func aTimelineThatCannotBeIsRefusedAndItsUserBeginsAnew(
        generation: UInt32,
        count: UInt64,
        offset: Int64
    ) async throws {
        let bytes = Self.bytes("ann", generation: generation, count: count, offset: offset)
        let timelines = Timelines(length: 10, partitionCount: 1)
        await timelines.open(0)
        let bob = timeline("bob", 0..<3, count: 3, offset: 99)
        let records = [
            record("bob", try bob.encoded(), offset: 0),
            record("bob", Self.bytes("bob", generation: 9, count: 9, offset: 100), offset: 1),
            record("ann", bytes, offset: 2),
        ]
        let restored = await timelines.restore(records[...], ends: [0: 100])
        await timelines.finishRestore(of: 0)
        #expect(restored.refusedCount == 2)
        let events = (["ann", "bob"] as [UserID]).enumerated().map { index, user in
            Record(
                source: TopicPartition(Topic.userEvents.rawValue, 0),
                offset: 100 + Int64(index),
                timestamp: 0,
                key: Array(user.utf8),
                value: try? Event(user: user, item: "x", time: 9).encoded()
            )
        }
        let update = await timelines.apply(events)
        #expect(update.changed.map(\.timeline.eventCount) == [1, 4])
        // Rows that older events made are behind a greater generation; bob's older timeline is still there.
        let expected = generation <= 1_000_000 ? max(1, generation + 1) : 1
        #expect(update.changed.map(\.timeline.generation) == [min(expected, 1_000_000), 0])
        for changed in update.changed { _ = try changed.timeline.encoded() }
    }

    /// A timeline with two events as anybody might write it.
    private static func bytes(_ user: UserID, generation: UInt32, count: UInt64, offset: Int64) -> [UInt8] {
        func varint(_ value: UInt64) -> [UInt8] {
            value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
        }
        return [0x0A, UInt8(user.utf8.count)] + Array(user.utf8) + [0x10] + varint(UInt64(generation)) + [0x18]
            + varint(count) + [0x20] + varint(UInt64(bitPattern: offset << 1 ^ offset >> 63))
            + [0x32, 1, 0x61, 0x52, 2, 0, 0, 0x6A, 2, 2, 2]
    }

    @Test func greatestNumbersThatCanBeAreTaken() async throws {
        let timelines = Timelines(length: 10, partitionCount: 1)
        await timelines.open(0)
        let bytes = Self.bytes("ann", generation: 1_000_000, count: 1_000_100, offset: 99)
        #expect(await timelines.restore([record("ann", bytes, offset: 0)], ends: [0: 100]).refusedCount == 0)
        let event = Record(
            source: TopicPartition(Topic.userEvents.rawValue, 0),
            offset: 100,
            timestamp: 0,
            key: Array("ann".utf8),
            value: try Event(user: "ann", item: "x", time: 9).encoded()
        )
        let changed = try #require(await timelines.apply([event]).changed.first)
        #expect(changed.timeline.eventCount == 1_000_101)
        _ = try changed.timeline.encoded()
    }

    @Test func timelinesOutsideTheirUsersPartitionsArePassedOver() async throws {
        let timelines = Timelines(length: 10, partitionCount: 2)
        await timelines.open(0)
        let users = (0..<20).map { UserID("user-\($0)") }
        let own = users.filter { Partitioner.partition(of: Array($0.utf8), count: 2) == 0 }
        let records = try users.enumerated().map { index, user in
            record(user, try timeline(user, 0..<1, count: 1, offset: Int64(index)).encoded(), offset: Int64(index))
        }
        let restored = await timelines.restore(records[...], ends: [0: 100])
        #expect(restored.foreignCount == users.count - own.count && restored.refusedCount == 0)
        #expect(await timelines.size.users == own.count)
        #expect(!own.isEmpty && own.count < users.count)
    }

    @Test(arguments: TestedLog.available)
    func aDeletionThatComesWhileRestoringIsForgottenTheSameWayFromTheLog(kind: TestedLog) async throws {
        let log = try await kind.open()
        let topic = "test-timelines-\(UUID().uuidString.lowercased())"
        try await log.createTopics([TopicSpecification(name: topic, partitionCount: 1, cleanup: .compact)])
        @Sendable func append(_ user: UserID, _ value: [UInt8]?) async throws {
            try await log.append([OutgoingRecord(topic: topic, key: Array(user.utf8), value: value)])
        }
        let ann = timeline("ann", 0..<4, count: 4, offset: 3)
        let bob = timeline("bob", 0..<4, count: 4, offset: 4)
        try await append("ann", try ann.encoded())
        try await append("bob", try bob.encoded())
        let timelines = Timelines(length: 10, partitionCount: 1)
        await timelines.open(0)
        let source = TopicPartition(topic, 0)
        try await log.replay(source) { records in
            // The worker that had the partition before commits while this one reads: only what comes after the end that
            // was asked for, which the group's offsets cover.
            try await append("ann", nil)
            _ = await timelines.restore(records[...], ends: [0: 100])
        }
        #expect(try await held("ann", in: timelines) == ann)
        // The next who restores sees the deletion, and so does this one as the event it is.
        let deletion = Record(
            source: TopicPartition(Topic.userEvents.rawValue, 0),
            offset: 5,
            timestamp: 0,
            key: Array("ann".utf8),
            value: nil
        )
        let update = await timelines.apply([deletion])
        #expect(update.deleted.map(\.user) == ["ann"])
        await timelines.open(0)
        try await log.replay(source) { _ = await timelines.restore($0[...], ends: [0: 100]) }
        #expect(await timelines.size.users == 1)
        #expect(try await held("bob", in: timelines) == bob)
        await log.close()
    }
}
