import Foundation
import Identifiers
import Messages
import StreamProcessing
import Streams
import TestSupport
import Testing

@testable import UserTimelines

@Suite struct TimelinesTests {
    /// The first 3 events of "ann" as version 1 wrote them.
    private static func version1(_ timeline: Timeline) -> [UInt8] {
        func field(_ tag: UInt8, _ bytes: [UInt8]) -> [UInt8] { [tag, UInt8(bytes.count)] + bytes }
        var record = field(0x0A, Array(timeline.user.utf8)) + [0x18, UInt8(timeline.eventCount)]
        record += [0x20, UInt8(timeline.lastOffset * 2)]
        for event in timeline.events {
            var entry = field(0x0A, Array(event.item.utf8)) + [0x10, UInt8(event.time)]
            for category in event.categories { entry += field(0x22, Array(category.utf8)) }
            record += field(0x2A, entry)
        }
        return record
    }

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

    @Test func readsTheFormOfVersion1AsItsOwn() throws {
        let old = timeline("ann", 0..<3, count: 3, offset: 7)
        #expect(try Timeline(decoding: Self.version1(old), contentType: nil) == old)
    }

    @Test func restoresSeveralRecordsOfAUserOfBothVersionsWithDeletionsBetween() async throws {
        let timelines = Timelines(length: 10)
        await timelines.open(0)
        let ann = timeline("ann", 0..<3, count: 3, offset: 7)
        let bob = timeline("bob", 0..<5, count: 5, offset: 9)
        let newBob = timeline("bob", 2..<8, count: 8, offset: 12)
        let newAnn = timeline("ann", 5..<6, count: 1, offset: 20)
        let cid = timeline("cid", 0..<2, count: 2, offset: 3)
        try await timelines.restore([
            record("ann", Self.version1(ann), offset: 0), record("bob", try newBob.encoded(), offset: 1),
            // Older than what is held, as after a compaction of another order: ignored.
            record("bob", Self.version1(bob), offset: 2),
            record("cid", try cid.encoded(), offset: 3), record("ann", nil, offset: 4),
        ])
        try await timelines.restore([
            record("ann", try newAnn.encoded(), offset: 5), record("cid", nil, offset: 6),
            record("dan", nil, offset: 7),
        ])
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
        let timelines = Timelines(length: 5)
        await timelines.open(0)
        let ann = timeline("ann", 0..<2, count: 2, offset: 9)
        try await timelines.restore([record("ann", try ann.encoded(), offset: 0)])
        let known = event("ann", offset: 3, [0xff])
        await timelines.restore(
            [Rejection(of: known, reason: "", service: "encoder-worker", time: 0)],
            of: TopicPartition(Topic.userEvents.rawValue, 0)
        )
        #expect(await timelines.lastRestoredOffset(of: 0) == 9)
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

    @Test func aRecordThatIsNoTimelineOfItsKeyStopsTheRestore() async throws {
        let timelines = Timelines(length: 10)
        await timelines.open(0)
        let ann = try timeline("ann", 0..<3, count: 3, offset: 7).encoded()
        for record in [record("bob", ann, offset: 5), record("ann", [1, 2, 3], offset: 5)] {
            let error = await #expect(throws: MessageError.self) { try await timelines.restore([record]) }
            #expect(error?.reason.contains("user-timelines/0 offset 5") == true)
        }
        var keyless = record("ann", ann, offset: 1)
        keyless.key = nil
        let restored = keyless
        let error = await #expect(throws: MessageError.self) { try await timelines.restore([restored]) }
        #expect(error?.field == "key")
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
        try await append("ann", Self.version1(ann))
        try await append("bob", try bob.encoded())
        let timelines = Timelines(length: 10)
        await timelines.open(0)
        let source = TopicPartition(topic, 0)
        try await log.replay(source) { records in
            // The worker that had the partition before commits while this one reads: only what comes after the end that
            // was asked for, which the group's offsets cover.
            try await append("ann", nil)
            try await timelines.restore(records)
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
        try await log.replay(source) { try await timelines.restore($0) }
        #expect(await timelines.size.users == 1)
        #expect(try await held("bob", in: timelines) == bob)
        await log.close()
    }
}
