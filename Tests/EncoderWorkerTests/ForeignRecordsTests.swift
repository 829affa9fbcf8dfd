import Datasets
import Foundation
import Bytes
import Messages
import PostgresClient
import ServiceRuntime
import Flows
import MessageLogs
import PostgresLogs
import Synchronization
import TestSupport
import Testing
import UserModels
import UserTimelines
import Verification

@testable import EncoderWorker

/// Records that are not as the worker's own producers write them, through the flow on a real log.
@Suite struct ForeignRecordsTests {
    /// Producers that partition otherwise, or send no key, beside ours; and a commit in between that is done again.
    @Test(arguments: [0, 2])
    func recordsInWrongPartitionsCountOnceInTheirUsersOwn(refusal: Int) async throws {
        let fixture = try await FlowFixture()
        let (address, cluster) = (fixture.address, try PrivatePostgres.shared())
        var sentOn = 0
        for (index, event) in FlowFixture.events(users: 8, each: 8).enumerated() {
            let key = Array(event.user.utf8)
            let right = Partitioner.partition(of: key, count: 2)
            var record = OutgoingRecord(topic: Topic.userEvents.rawValue, key: key, value: try event.encoded())
            switch index % 4 {
            case 0: record.partition = right ^ 1
            case 1: (record.key, record.partition) = (nil, right ^ 1)
            case 2: (record.key, record.partition) = (nil, right)
            default: break
            }
            if record.partition == right ^ 1 { sentOn += 1 }
            try await fixture.log.append([record])
        }
        let subscription = DisturbedSubscription(try await fixture.subscribe(), at: refusal) {
            try cluster.psql(address, "UPDATE userllm_log.group_offsets SET epoch = epoch + 1")
        }
        let flow = try fixture.flow(subscription)
        let shutdown = Shutdown()
        async let running: Void = flow.run(until: shutdown)
        try await poll("all events are encoded") { try await fixture.drained() }
        shutdown.request()
        try await running

        let copies = try await fixture.records(of: .userEvents).filter { $0.header(FirstPlace.header) != nil }
        #expect(copies.count == sentOn)
        let counts = fixture.metrics.text.matches(of: /records_rerouted_total\{reason="(\w+)"\} (\d+)/)
        #expect(Dictionary(counts.map { ("\($0.1)", Int($0.2)) }) { $1 } == ["partition": 16, "keyless": 16])
        let timelines = try await fixture.records(of: .userTimelines)
        for user in 0..<8 {
            let key = Array("u\(user)".utf8)
            let own = timelines.filter { $0.key == key }
            let last = try Timeline(decoding: try #require(own.last?.value), contentType: nil)
            #expect(last.eventCount == 8 && last.events.count == 8)
            #expect(Set(last.events.map(\.time)).count == 8)
            #expect(Set(own.map(\.source.partition)) == [Partitioner.partition(of: key, count: 2)])
        }
        await fixture.close()
    }

    /// The log told an old offset after a deletion: its user's records, and the deletion, are sent on again.
    @Test func aDeletedUserStaysForgottenWhenRecordsAreSentOnAgain() async throws {
        let fixture = try await FlowFixture()
        let key = Array("u0".utf8)
        let own = Partitioner.partition(of: key, count: 2)
        func newest(_ key: [UInt8]) async throws -> [UInt8]? {
            try await fixture.records(of: .userTimelines).last { $0.key == key && $0.source.partition == own }?.value
        }
        let event = try Event(user: "u0", item: "f1", time: 1).encoded()
        let topic = Topic.userEvents.rawValue
        for value in [event, nil] {
            try await fixture.log.append([OutgoingRecord(topic: topic, partition: own ^ 1, key: key, value: value)])
            try await fixture.runToTheEnd()
        }
        #expect(try await newest(key) == nil)
        let marks = try ForgottenMarks(decoding: try #require(try await newest(ForgottenMarks.key)), contentType: nil)
        let mark = ForgottenMarks.Mark(partition: own ^ 1, offset: 1, deletion: 1)
        #expect(marks == ForgottenMarks(recent: [mark]))

        func sendAgain() async throws {
            let copies = try await fixture.records(of: .userEvents).filter { $0.header(FirstPlace.header) != nil }
            try await fixture.log.append(
                copies.prefix(2).map {
                    OutgoingRecord(topic: topic, partition: own, key: key, value: $0.value, headers: $0.headers)
                }
            )
            try await fixture.runToTheEnd()
        }
        try await sendAgain()
        #expect(try await newest(key) == nil)
        try await fixture.append([Event(user: "u0", item: "f2", time: 2)])
        try await sendAgain()
        let timeline = try Timeline(decoding: try #require(try await newest(key)), contentType: nil)
        #expect(timeline.eventCount == 1 && timeline.events.map(\.item) == ["f2"])
        #expect(fixture.metrics.text.contains("userllm_encoder_worker_timelines_refused_total 0"))
        await fixture.close()
    }

    /// Whoever may write to the topic may have written it: neither does the worker stop, nor does the user stand still.
    @Test(arguments: [false, true])
    func damagedTimelinesStopNeitherTheWorkerNorTheirUsers(onlyInAnotherPartition: Bool) async throws {
        let fixture = try await FlowFixture()
        let key = Array("u0".utf8)
        let partition = Partitioner.partition(of: key, count: 2)
        var damaged = Timeline(user: "u0", eventCount: 1, lastOffset: 0, events: [TimelineEvent(item: "f1", time: 1)])
        if onlyInAnotherPartition {
            // That one is empty.
            damaged.sources = [Timeline.Source(partition: partition ^ 1, offset: 0)]
        } else {
            (damaged.eventCount, damaged.lastOffset) = (UInt64(Int64.max), .max - 1)
        }
        try await fixture.log.append([
            OutgoingRecord(
                topic: Topic.userTimelines.rawValue,
                partition: partition,
                key: key,
                value: try damaged.encoded()
            )
        ])
        try await fixture.append([Event(user: "u0", item: "f3", time: 3)])
        try await fixture.runToTheEnd()
        let newest = try Timeline(
            decoding: try #require(try await fixture.records(of: .userTimelines).last?.value),
            contentType: nil
        )
        #expect(newest.eventCount == 1 && newest.generation == 1 && newest.lastOffset == 0)
        #expect(fixture.metrics.text.contains("userllm_encoder_worker_timelines_refused_total 1"))
        await fixture.close()
    }

    /// That is another version, or a topic that was made anew: to go on would lose the users' histories.
    @Test func manyDamagedTimelinesStopTheWorker() async throws {
        let fixture = try await FlowFixture()
        try await fixture.log.append(
            (0..<60).map {
                let key = Array("u\($0)".utf8)
                return OutgoingRecord(
                    topic: Topic.userTimelines.rawValue,
                    partition: Partitioner.partition(of: key, count: 2),
                    key: key,
                    value: [1, 2, 3]
                )
            }
        )
        let subscription = try await fixture.subscribe()
        let flow = try fixture.flow(subscription)
        let error = await #expect(throws: ProcessFailure.self) { try await flow.run(until: Shutdown()) }
        await subscription.close()
        #expect(error?.exitCode == .badInput && error?.description.contains("--rejected-share off") == true)
        try await fixture.append([Event(user: "u0", item: "f3", time: 3)])
        try await fixture.runToTheEnd(RejectionRate(share: .off))
        await fixture.close()
    }

    /// Every start makes the progress of a batch at least, however much of it is poison, and good records behind it count.
    @Test func poisonStopsTheFlowOnceItIsRejectedAndAStartGoesOnBehindIt() async throws {
        let fixture = try await FlowFixture()
        let bad = (0..<200).map {
            OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array("p\($0)".utf8), value: [0xff, 0xff])
        }
        let good = try FlowFixture.events(users: 4, each: 5).map {
            OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array($0.user.utf8), value: try $0.encoded())
        }
        for index in 0..<20 {
            try await fixture.log.append(Array(bad[(index * 10)..<(index * 10 + 10)]) + [good[index]])
        }
        var starts = 0
        while try await !fixture.drained() {
            starts += 1
            try #require(starts <= 22, "a start made no progress")
            let subscription = try await fixture.subscribe()
            let flow = try fixture.flow(subscription)
            let shutdown = Shutdown()
            let ended = Shutdown()
            async let watching: Void = {
                while try await !fixture.drained(), !ended.isRequested { try await Task.sleep(for: .milliseconds(20)) }
                shutdown.request()
            }()
            do {
                try await flow.run(until: shutdown)
            } catch let failure as ProcessFailure {
                #expect(failure.exitCode == .badInput)
            }
            ended.request()
            try await watching
            await subscription.close()
        }
        // 22 records of poison are too much, and a batch has at most 10 records.
        #expect(starts > 1)
        let rejected = try await fixture.rejected()
        #expect(rejected.count == 200 && Set(rejected.map(\.key)) == Set(bad.map(\.key)))
        let timelines = try await fixture.records(of: .userTimelines).compactMap(\.value)
            .map { try Timeline(decoding: $0, contentType: nil) }
        for user in 0..<4 { #expect(timelines.last { $0.user == "u\(user)" }?.eventCount == 5) }
        await fixture.close()
    }

    @Test func poisonIsBorneWhereTheOperatorSaysSo() async throws {
        let fixture = try await FlowFixture()
        let bad = OutgoingRecord(topic: Topic.userEvents.rawValue, key: [65], value: [0xff, 0xff])
        try await fixture.log.append(Array(repeating: bad, count: 200))
        let flow = try fixture.flow(try await fixture.subscribe(), RejectionRate(share: .off))
        let shutdown = Shutdown()
        async let running: Void = flow.run(until: shutdown)
        try await poll("all is rejected") { try await fixture.drained() }
        shutdown.request()
        try await running
        #expect(try await fixture.rejected().count == 200)
        await fixture.close()
    }
}
