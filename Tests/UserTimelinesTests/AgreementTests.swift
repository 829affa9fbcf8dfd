import Bytes
import Messages
import MessageLogs
import Testing

@testable import UserTimelines

/// From where on a partition is read although the log says less, and what of the log restored timelines are held against.
@Suite struct AgreementTests {
    private func record(_ timeline: Timeline) throws -> Record {
        Record(
            source: TopicPartition(Topic.userTimelines.rawValue, 0),
            offset: 0,
            timestamp: 0,
            key: Array(timeline.user.utf8),
            value: try timeline.encoded()
        )
    }

    private func timeline(_ user: UserID, _ offset: Int64, count: Int = 1, sources: [Timeline.Source] = []) -> Timeline
    {
        let event = TimelineEvent(item: "i", time: 1)
        return Timeline(user: user, eventCount: UInt64(count), lastOffset: offset, sources: sources, events: [event])
    }

    private func agreed(_ timelines: [Timeline], upTo end: Int64 = 10_000) async throws -> Int64? {
        let held = Timelines(length: 10, partitionCount: 1)
        await held.open(0)
        _ = await held.restore(try timelines.map(record)[...], ends: [0: end])
        await held.finishRestore(of: 0)
        return await held.agreedOffset(of: 0)
    }

    @Test(
        arguments: [
            (offsets: [], agreed: nil), (offsets: [5], agreed: nil), (offsets: Array(1...15), agreed: nil),
            (offsets: Array(1...16), agreed: 1), (offsets: Array(1...40).reversed(), agreed: 25),
            // One that somebody forged, just before the end of the log.
            (offsets: Array(1...16) + [9_999], agreed: 2), (offsets: [9_999] + Array(1...15), agreed: 1),
            (offsets: Array(repeating: 9_999, count: 15) + [3, 4], agreed: 4),
            (offsets: Array(repeating: 7, count: 16), agreed: 7),
            // Past the end of the log: refused, and no witness.
            (offsets: Array(1...15) + [10_000], agreed: nil),
        ] as [(offsets: [Int64], agreed: Int64?)]
    )
    func sixteenUsersMustReachAnOffset(offsets: [Int64], expected: Int64?) async throws {
        let timelines = offsets.enumerated().map { timeline(UserID("u\($0)"), $1) }
        #expect(try await agreed(timelines) == expected)
        #expect(try await agreed(timelines.shuffled()) == expected)
    }

    @Test func aUserCountsOnceHoweverOftenItsTimelineWasStored() async throws {
        let others = (0..<15).map { timeline(UserID("u\($0)"), Int64($0) + 100) }
        let often = (1...50).map { timeline("ann", 500 + Int64($0), count: $0) }
        #expect(try await agreed(often) == nil)
        #expect(try await agreed(others + often) == 100)
        // Not an older one either, that the user had before.
        #expect(try await agreed(others + [timeline("ann", 3), timeline("ann", 200, count: 2)]) == 100)
    }

    @Test func whoWasDeletedIsNoWitness() async throws {
        let held = Timelines(length: 10, partitionCount: 1)
        await held.open(0)
        var records = try (0..<16).map { try record(timeline(UserID("u\($0)"), Int64($0))) }
        records.append(records[3])
        records[16].value = nil
        _ = await held.restore(records[...], ends: [0: 100])
        await held.finishRestore(of: 0)
        #expect(await held.agreedOffset(of: 0) == nil)
    }

    @Test func eachPartitionHasItsOwnAndLosesItWithItsTimelines() throws {
        var store = TimelineStore(length: 10)
        store.open(0)
        store.open(1)
        for user in 0..<20 {
            _ = store.apply(TimelineEvent(item: "i", time: 1), of: UserID("u\(user)"), in: 1, offset: 50)
        }
        for partition: Int32 in 0...2 { store.finishRestore(of: partition) }
        #expect(store.agreedOffset(of: 0) == nil && store.agreedOffset(of: 1) == 50 && store.agreedOffset(of: 2) == nil)
        store.open(1)
        #expect(store.agreedOffset(of: 1) == nil)
    }

    // MARK: - Against the log

    /// Only the ends of partitions that are named are needed, each once.
    @Test func endsAreAskedForWhenTheyAreNamed() async throws {
        let users = (0..<200).map { UserID("u\($0)") }
        func own(_ partition: Int32) -> [UserID] {
            users.filter { Partitioner.partition(of: Array($0.utf8), count: 3) == partition }
        }
        let (ann, bob, foreign) = (own(0)[0], own(0)[1], own(1)[0])
        var deletion = try record(timeline(bob, 1))
        deletion.value = nil
        let records = try [
            record(timeline(foreign, 1)), deletion, record(timeline(ann, 4)), record(timeline(bob, 5)),
            record(timeline(ann, 6, count: 2, sources: [Timeline.Source(partition: 2, offset: 8)])),
            record(timeline(bob, 7, count: 2, sources: [Timeline.Source(partition: 2, offset: 9)])),
        ]
        let held = Timelines(length: 10, partitionCount: 3)
        await held.open(0)
        var ends: [Int32: Int64] = [:]
        var asked: [(Int32, before: Int)] = []
        var rest = records[...]
        var restored = Timelines.Restored()
        while !rest.isEmpty {
            let more = await held.restore(rest, ends: ends)
            restored.add(more)
            rest = rest.dropFirst(more.recordCount)
            guard let partition = more.unknownEnd else { continue }
            asked.append((partition, before: restored.recordCount))
            ends[partition] = 9
        }
        #expect(asked.map { $0.0 } == [0, 2] && asked.map(\.before) == [2, 4])
        #expect(restored.recordCount == 6 && restored.foreignCount == 1)
        // Bob's newer one is past the end of partition 2.
        #expect(restored.refusedCount == 1)
        #expect(restored.refusals.first?.field == "source_offsets")
        #expect(restored.refusals.first?.reason.contains("9 is past the end of user-events/2, which is 9") == true)
    }

    @Test(
        arguments: [
            ([(1, 9)], nil), ([(1, 10)], "source_offsets"), ([(1, .max - 1)], "source_offsets"),
            ([(0, 99), (2, 0)], nil), ([(0, 100)], "source_offsets"), ([(2, 1)], "source_offsets"),
            ([(1, 9), (3, 0)], "source_partitions"), ([(.max, 0)], "source_partitions"),
        ] as [([(Int32, Int64)], String?)]
    )
    func sourcesAreHeldAgainstTheLog(sources: [(Int32, Int64)], field: String?) async throws {
        let sources = sources.map { Timeline.Source(partition: $0.0, offset: $0.1) }
        let user = UserID(
            (0..<50).map { "u\($0)" }.first { Partitioner.partition(of: Array($0.utf8), count: 3) == 0 } ?? ""
        )
        let held = Timelines(length: 10, partitionCount: 3)
        await held.open(0)
        let restored = await held.restore(
            [try record(timeline(user, 4, sources: sources))],
            ends: [0: 100, 1: 10, 2: 1]
        )
        #expect(restored.unknownEnd == nil && restored.refusals.first?.field == field)
        #expect(restored.refusedCount == (field == nil ? 0 : 1))
    }
}
