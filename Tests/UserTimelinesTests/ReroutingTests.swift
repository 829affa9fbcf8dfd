import Bytes
import Messages
import Flows
import MessageLogs
import Testing

@testable import UserTimelines

/// Records that lie in partitions that are not their users'.
@Suite struct ReroutingTests {
    private static let partitionCount: Int32 = 4
    private static let topic = Topic.userEvents.rawValue

    private func partition(of user: UserID) -> Int32 {
        Partitioner.partition(of: Array(user.utf8), count: Self.partitionCount)
    }

    private func record(
        _ user: UserID,
        _ item: ItemID? = "a",
        in partition: Int32,
        at offset: Int64,
        isKeyless: Bool = false,
        headers: [Header] = []
    ) throws -> Record {
        Record(
            source: TopicPartition(Self.topic, partition),
            offset: offset,
            timestamp: 1_000_000 + offset,
            key: isKeyless ? nil : Array(user.utf8),
            value: try item.map { try Event(user: user, item: $0, time: 5).encoded() },
            headers: headers
        )
    }

    private func header(_ text: String) -> [Header] { [Header("userllm-rerouted", text)] }

    private func store() -> TimelineStore {
        var store = TimelineStore(length: 10)
        for partition in 0..<Self.partitionCount { store.open(partition) }
        return store
    }

    private func update(
        _ records: [Record],
        _ store: inout TimelineStore,
        ends: [Int32: Int64] = [0: 1_000, 1: 1_000, 2: 1_000, 3: 1_000]
    ) -> TimelineUpdate {
        let routing = EventRouting(partitionCount: Self.partitionCount, ends: ends)
        return TimelineUpdate(applying: records, to: &store, routing: routing)
    }

    /// What another worker reads of a record that was sent on.
    private func arrived(_ reroute: TimelineUpdate.Reroute, at offset: Int64) throws -> Record {
        Record(
            source: TopicPartition(reroute.record.topic, try #require(reroute.record.partition)),
            offset: offset,
            timestamp: 9_000_000,
            key: reroute.record.key,
            value: reroute.record.value,
            headers: reroute.record.headers
        )
    }

    @Test func recordsOfOtherPartitionsAreSentOnInTheirOrderAndNothingElseIsDone() throws {
        var store = store()
        let right = partition(of: "ann")
        let wrong = (right + 1) % Self.partitionCount
        let request = Header("request-id", "r")
        let records = [
            try record("ann", "a", in: wrong, at: 7, headers: [request]), try record("ann", nil, in: wrong, at: 8),
            try record("ann", "b", in: wrong, at: 9),
        ]
        let update = update(records, &store)
        #expect(update.changed.isEmpty && update.deleted.isEmpty && update.rejections.isEmpty)
        #expect(update.reroutes.map(\.reason) == [.partition, .partition, .partition])
        #expect(update.reroutes.map(\.record.value) == records.map(\.value))
        #expect(update.reroutes.allSatisfy { $0.record.partition == right && $0.record.key == Array("ann".utf8) })
        #expect(update.reroutes[0].record.headers == [request] + header("\(wrong) 7 1000007 1"))

        let arrived = try update.reroutes.enumerated().map { try self.arrived($1, at: 20 + Int64($0)) }
        let applied = self.update(arrived, &store)
        #expect(applied.reroutes.isEmpty && applied.deleted.map(\.user) == ["ann"])
        let timeline = try #require(applied.changed.first?.timeline)
        #expect(timeline.events.map(\.item) == ["b"] && timeline.lastOffset == 22)
        #expect(timeline.sources == [Timeline.Source(partition: wrong, offset: 9)])
    }

    @Test func aRecordWithoutAKeyGoesUnderTheUserThatItsValueNames() throws {
        var store = store()
        let right = partition(of: "ann")
        let wrong = (right + 1) % Self.partitionCount
        var empty = try record("ann", in: wrong, at: 2)
        empty.key = []
        let elsewhere = update([try record("ann", in: wrong, at: 1, isKeyless: true), empty], &store)
        #expect(elsewhere.reroutes.map(\.reason) == [.keyless, .keyless])
        #expect(elsewhere.reroutes.allSatisfy { $0.record.key == Array("ann".utf8) && $0.record.partition == right })
        // Where it lies right by chance it is just applied.
        let here = update([try record("ann", in: right, at: 1, isKeyless: true)], &store)
        #expect(here.reroutes.isEmpty && here.changed.map(\.timeline.eventCount) == [1])
        let deletion = update([try record("ann", nil, in: right, at: 2, isKeyless: true)], &store)
        #expect(deletion.rejections.map(\.record.offset) == [2] && deletion.deleted.isEmpty)
    }

    @Test func whatIsNoEventIsRejectedWhereItLies() throws {
        var store = store()
        let wrong = (partition(of: "ann") + 1) % Self.partitionCount
        var broken = try record("ann", in: wrong, at: 1)
        broken.value = [0xff]
        var keyless = try record("ann", in: wrong, at: 2, isKeyless: true)
        keyless.value = [0xff]
        var foreign = try record("bob", in: wrong, at: 3)
        foreign.key = Array("ann".utf8)
        var endless = try record("ann", nil, in: wrong, at: 4)
        endless.key = [UInt8](repeating: 0x61, count: 513)
        let update = update([broken, keyless, foreign, endless], &store)
        #expect(update.reroutes.isEmpty && update.rejections.map(\.record.offset) == [1, 2, 3, 4])
    }

    /// The log told an offset that is too small: what was sent on is read, and sent on, again.
    @Test func whatIsSentOnTwiceCountsOnce() throws {
        var store = store()
        let right = partition(of: "ann")
        let (one, two) = ((right + 1) % Self.partitionCount, (right + 2) % Self.partitionCount)
        let records = [
            try record("ann", "a", in: one, at: 3), try record("ann", "b", in: two, at: 1),
            try record("ann", "c", in: one, at: 4),
        ]
        let sent = update(records, &store).reroutes
        let first = update(try sent.enumerated().map { try arrived($1, at: Int64($0)) }, &store)
        #expect(first.changed.map(\.timeline.eventCount) == [3])
        let again = update(try sent.enumerated().map { try arrived($1, at: 10 + Int64($0)) }, &store)
        #expect(again.knownCount == 3 && again.changed.map(\.timeline) == first.changed.map(\.timeline))
        // Events that the user's own partition had first, and later ones of the others, count.
        let more = update(
            [
                try record("ann", "d", in: right, at: 20),
                try arrived(update([try record("ann", "e", in: two, at: 2)], &store).reroutes[0], at: 21),
            ],
            &store
        )
        #expect(more.changed.map(\.timeline.eventCount) == [5])
        #expect(more.changed.first?.timeline.sources.map(\.offset).sorted() == [2, 4])
    }

    @Test func theGuardSurvivesARestore() throws {
        var first = store()
        let right = partition(of: "ann")
        let wrong = (right + 1) % Self.partitionCount
        let sent = update([try record("ann", in: wrong, at: 3)], &first).reroutes[0]
        let timeline = try #require(update([try arrived(sent, at: 0)], &first).changed.first?.timeline)
        var second = store()
        let bytes = try timeline.encoded()
        var columns = TimelineColumns()
        try columns.read(bytes.span)
        try second.restore(columns, from: bytes.span, in: right)
        #expect(second.timeline(of: "ann", in: right) == timeline)
        let again = update([try arrived(sent, at: 1)], &second)
        #expect(again.knownCount == 1 && again.changed.map(\.timeline.eventCount) == [1])
    }

    @Test func aDeletionThatIsSentOnTwiceDoesNotForgetWhatCameAfterIt() throws {
        var store = store()
        let wrong = (partition(of: "ann") + 1) % Self.partitionCount
        let records = [
            try record("ann", "a", in: wrong, at: 1), try record("ann", nil, in: wrong, at: 2),
            try record("ann", "b", in: wrong, at: 3),
        ]
        let sent = update(records, &store).reroutes
        _ = update(try sent.enumerated().map { try arrived($1, at: Int64($0)) }, &store)
        let again = update(try sent.enumerated().map { try arrived($1, at: 10 + Int64($0)) }, &store)
        #expect(again.knownCount == 3 && again.deleted.isEmpty)
        #expect(again.changed.map(\.timeline.eventCount) == [1])
    }

    /// An event without a time happened when the log took it first, not when it was sent on.
    @Test func theTimeIsThatOfTheFirstPlace() throws {
        var store = store()
        let wrong = (partition(of: "ann") + 1) % Self.partitionCount
        var timeless = try record("ann", in: wrong, at: 3, headers: [Header("content-type", "application/json")])
        timeless.value = Array(#"{"user":"ann","item":"a"}"#.utf8)
        let sent = update([timeless], &store).reroutes[0]
        let changed = try #require(update([try arrived(sent, at: 0)], &store).changed.first)
        #expect(changed.timeline.events.map(\.time) == [1_000_003] && changed.appendedAt == 1_000_003)
    }

    // MARK: - Hostile headers

    /// The source's end keeps a forged place from keeping out what comes from there.
    @Test(arguments: [
        "0 1000 5 1", "0 9223372036854775807 5 1", "1 1000 5 1", "4 0 5 1", "2147483647 0 5 1", "-1 0 5 1", "0 -1 5 1",
        "0 0 -1 1", "0 0 9223372036854775807 1", "0 0 5 0", "0 0 5 5", "0 0 5 99999999999999999999", "0 0 5", "0 0",
        "", "a b c d", "0 0 5 1 6", "0  5 1", "9223372036854775808 0 5 1",
    ])
    func aPlaceThatCannotBeIsRejected(text: String) throws {
        var store = store()
        let right = partition(of: "ann")
        let forged = try record("ann", in: right, at: 0, headers: header(text))
        let rejected = update([forged], &store)
        #expect(rejected.rejections.count == 1 && rejected.changed.isEmpty)
        #expect(rejected.rejections.first?.reason.contains("userllm-rerouted") == true)
        let honest = update([try record("ann", in: right, at: 1, headers: header("0 999 5 1"))], &store)
        #expect(honest.rejections.isEmpty && honest.changed.map(\.timeline.eventCount) == [1])
    }

    /// Workers that do not agree about the number of partitions send it round, but not for ever.
    @Test func aRecordIsNotSentRoundForEver() throws {
        var store = store()
        let wrong = (partition(of: "ann") + 1) % Self.partitionCount
        var next = try record("ann", in: wrong, at: 3)
        for move in 1...FirstPlace.maximumMoves {
            let sent = try #require(update([next], &store).reroutes.first)
            #expect(sent.record.headers == header("\(wrong) 3 1000003 \(move)"))
            next = try arrived(sent, at: Int64(move))
            next.source = TopicPartition(Self.topic, wrong)
        }
        let last = update([next], &store)
        #expect(last.reroutes.isEmpty && last.rejections.first?.reason.contains("number of partitions") == true)
    }

    /// One more header must not make it larger than a log takes.
    @Test func aVeryLargeRecordIsSentOnAsTheEventThatItIs() throws {
        var store = store()
        let wrong = (partition(of: "ann") + 1) % Self.partitionCount
        let json = Header("content-type", "application/json")
        var large = try record(
            "ann",
            in: wrong,
            at: 3,
            headers: [json, Header("x", String(repeating: "x", count: 9_000))]
        )
        large.value = Array(
            "{\"user\":\"ann\",\"item\":\"a\",\"time\":1700000000000\(String(repeating: " ", count: 1_030_000))}".utf8
        )
        let sent = try #require(update([large], &store).reroutes.first)
        #expect(sent.record.headers == header("\(wrong) 3 1000003 1"))
        #expect((sent.record.value?.count ?? 0) < 1_000)
        let changed = try #require(update([try arrived(sent, at: 0)], &store).changed.first)
        #expect(changed.timeline.events == [TimelineEvent(item: "a", time: 1_700_000_000_000)])
    }
}
