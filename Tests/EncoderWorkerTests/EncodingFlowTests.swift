import Datasets
import Foundation
import Identifiers
import Messages
import Postgres
import ServiceRuntime
import StreamProcessing
import Streams
import Synchronization
import TestSupport
import Testing
import UserModels
import UserTimelines
import Verification

@testable import EncoderWorker

/// The flow on a real log, with commits that are refused.
@Suite struct EncodingFlowTests {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    /// Lets one commit find that its partitions went elsewhere meanwhile.
    private actor Disturbed: Subscription {
        let subscription: any Subscription
        let disturb: @Sendable () throws -> Void
        let which: Int
        private var commits = 0

        init(_ subscription: any Subscription, at which: Int, _ disturb: @escaping @Sendable () throws -> Void) {
            self.subscription = subscription
            self.which = which
            self.disturb = disturb
        }

        func next() async throws(StreamError) -> SubscriptionEvent? { try await subscription.next() }

        func readyBatch() async throws(StreamError) -> Batch? { try await subscription.readyBatch() }

        func commit(
            _ offsets: [TopicPartition: Int64],
            producing outputs: [OutgoingRecord]
        ) async throws(StreamError) {
            commits += 1
            if commits == which {
                do { try disturb() } catch { throw .fatal("\(error)") }
            }
            try await subscription.commit(offsets, producing: outputs)
        }

        func start(at offsets: [TopicPartition: Int64]) async throws(StreamError) {
            try await subscription.start(at: offsets)
        }

        nonisolated func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64]) {
            subscription.resume(partitions, notBefore: floors)
        }

        func close() async { await subscription.close() }
    }

    private struct Fixture {
        let log: PostgresLog
        let address: String
        let bundle: ModelBundle
        let folder: String
        let metrics = MetricsRegistry()

        init() async throws {
            folder = try LocalSystem.makeFolder()
            let catalogue = try SyntheticWorld().catalogue
            try SmallBundle.write(to: "\(folder)/bundle", catalogue: catalogue)
            bundle = try ModelBundle.load("\(folder)/bundle")
            address = try PrivatePostgres.shared().makeDatabase()
            log = try await PostgresLog(address: address)
            try await log.createTopics(TopicSpecification.system(partitionCount: 2))
        }

        func subscribe() async throws -> any Subscription {
            try await log.subscribe(
                SubscriptionOptions(
                    topics: [Topic.userEvents.rawValue],
                    membership: .group(ConsumerGroup.encoderWorker),
                    maximumBatchCount: 10,
                    memberName: "encoder-worker-test",
                    holdsNewPartitions: true
                )
            )
        }

        func flow(
            _ subscription: any Subscription,
            _ rejectionRate: RejectionRate = RejectionRate()
        ) throws -> EncodingFlow {
            EncodingFlow(
                EncodingFlow.Parts(
                    log: log,
                    subscription: subscription,
                    encoder: try Encoder(bundle: bundle, threads: 1),
                    modelVersion: bundle.version,
                    timelineLength: bundle.timelineLength,
                    contextRows: bundle.contextRows,
                    contextColumns: bundle.contextColumns,
                    rejectionRate: rejectionRate
                ),
                metrics: EncoderWorkerMetrics(metrics),
                health: Health().condition("restored", waitingFor: "start"),
                logger: Logger(label: "test", handler: Silent())
            )
        }

        func drained() async throws -> Bool {
            try await log.lag(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue) == 0
        }

        func records(of topic: Topic) async throws -> [Record] {
            let collector = Collector()
            for partition: Int32 in 0..<2 {
                try await log.replay(TopicPartition(topic.rawValue, partition)) { await collector.take($0) }
            }
            return await collector.records
        }

        func rejected() async throws -> [Record] {
            let collector = Collector()
            try await log.replay(TopicPartition(Topic.userEvents.rejected, 0)) { await collector.take($0) }
            return await collector.records
        }

        func close() async {
            await log.close()
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    private actor Collector {
        private(set) var records: [Record] = []
        func take(_ some: [Record]) { records += some }
    }

    private func append(_ events: [Event], to log: PostgresLog) async throws {
        try await log.append(
            events.map {
                OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array($0.user.utf8), value: try $0.encoded())
            }
        )
    }

    private func events(users: Int, each count: Int) -> [Event] {
        (0..<count).flatMap { index in
            (0..<users).map { Event(user: "u\($0)", item: "f\(index % 50 + 1)", time: Int64(index) * 1_000) }
        }
    }

    @Test(arguments: [1, 2, 4])
    func aRefusedCommitIsDoneAgainFromTheLastOffset(which: Int) async throws {
        let fixture = try await Fixture()
        let address = fixture.address
        let cluster = try PrivatePostgres.shared()
        try await append(events(users: 8, each: 8), to: fixture.log)
        for partition: Int32 in 0..<2 {
            let range = try await fixture.log.watermarks(of: TopicPartition(Topic.userEvents.rawValue, partition))
            try #require(range.high > 0, "no user is in partition \(partition)")
        }
        let subscription = Disturbed(try await fixture.subscribe(), at: which) {
            try cluster.psql(address, "UPDATE userllm_log.group_offsets SET epoch = epoch + 1")
        }
        let flow = try fixture.flow(subscription)
        let shutdown = Shutdown()
        async let running: Void = flow.run(until: shutdown)
        try await poll("all events are encoded") { try await fixture.drained() }
        shutdown.request()
        try await running

        // The one that was disturbed, one of a batch that was taken meanwhile, and one that has a partition in common with
        // that.
        let refused = fixture.metrics.text.matches(of: /commits_refused_total (\d+)/).compactMap { Int($0.1) }
        #expect(refused.count == 1 && (1...3).contains(refused[0]))
        let timelines = try await fixture.records(of: .userTimelines).compactMap(\.value)
            .map { try Timeline(decoding: $0, contentType: nil) }
        let embeddings = try await fixture.records(of: .userEmbeddings).compactMap(\.value)
            .map { try UserEmbedding(decoding: $0, contentType: nil) }
        for user in 0..<8 {
            let counts = timelines.filter { $0.user == "u\(user)" }.map(\.eventCount)
            #expect(counts.last == 8)
            #expect(counts == counts.sorted(), "event counts never go back: \(counts)")
            let written = embeddings.filter { $0.user == "u\(user)" }.map(\.eventCount)
            #expect(Set(written).count == written.count, "no embedding twice: \(written)")
            #expect(written.last == 8)
        }
        await fixture.close()
    }

    @Test func whoComesAfterGoesOnWhereTheOtherStopped() async throws {
        let fixture = try await Fixture()
        for part in 0..<3 {
            try await append(events(users: 4, each: 5), to: fixture.log)
            let flow = try fixture.flow(try await fixture.subscribe())
            let shutdown = Shutdown()
            async let running: Void = flow.run(until: shutdown)
            try await poll("part \(part) is encoded") { try await fixture.drained() }
            shutdown.request()
            try await running
        }
        let timelines = try await fixture.records(of: .userTimelines).compactMap(\.value)
            .map { try Timeline(decoding: $0, contentType: nil) }
        for user in 0..<4 {
            let last = try #require(timelines.last { $0.user == "u\(user)" })
            #expect(last.eventCount == 15)
            #expect(last.events.count == 15)
        }
        await fixture.close()
    }

    /// Every start makes the progress of a batch at least, however much of it is poison, and good records behind it count.
    @Test func poisonStopsTheFlowOnceItIsRejectedAndAStartGoesOnBehindIt() async throws {
        let fixture = try await Fixture()
        let bad = (0..<200).map {
            OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array("p\($0)".utf8), value: [0xff, 0xff])
        }
        let good = try events(users: 4, each: 5).map {
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
        let fixture = try await Fixture()
        let bad = OutgoingRecord(topic: Topic.userEvents.rawValue, key: [65], value: [0xff, 0xff])
        try await fixture.log.append(Array(repeating: bad, count: 200))
        let flow = try fixture.flow(try await fixture.subscribe(), RejectionRate(share: .off))
        let shutdown = Shutdown()
        async let running: Void = flow.run(until: shutdown)
        try await poll("all is rejected", within: .seconds(300)) { try await fixture.drained() }
        shutdown.request()
        try await running
        #expect(try await fixture.rejected().count == 200)
        await fixture.close()
    }

    /// Runs the flow as a new process would, until all events are encoded.
    private func runToTheEnd(_ fixture: Fixture) async throws {
        let flow = try fixture.flow(try await fixture.subscribe())
        let shutdown = Shutdown()
        async let running: Void = flow.run(until: shutdown)
        try await poll("all events are encoded") { try await fixture.drained() }
        shutdown.request()
        try await running
    }

    @Test func aRetryCountsOnceAlsoAfterARestartAndADeletionForgetsIt() async throws {
        let fixture = try await Fixture()
        func newest(_ user: UserID) async throws -> Timeline? {
            try await fixture.records(of: .userTimelines).last { $0.key == Array(user.utf8) }
                .flatMap { try $0.value.map { try Timeline(decoding: $0, contentType: nil) } }
        }
        let events = (0..<8).map { Event(id: "id-\($0)", user: "u0", item: "f\($0 + 1)", time: Int64($0) * 1_000) }
        try await append(events, to: fixture.log)
        try await append([events[3], events[7]], to: fixture.log)
        try await runToTheEnd(fixture)
        let first = try #require(try await newest("u0"))
        #expect(first.eventCount == 8)
        #expect(first.events.map(\.item) == events.map(\.item))

        try await append(
            Array(events[2...5]) + [Event(id: "id-8", user: "u0", item: "f9", time: 9_000)],
            to: fixture.log
        )
        try await runToTheEnd(fixture)
        let second = try #require(try await newest("u0"))
        #expect(second.eventCount == 9)
        #expect(second.events.count == 9)
        #expect(second.lastOffset == first.lastOffset + 5)
        #expect(fixture.metrics.text.contains("userllm_encoder_worker_events_repeated_total 6"))

        try await fixture.log.append([
            OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array("u0".utf8), value: nil)
        ])
        try await append([events[0]], to: fixture.log)
        try await runToTheEnd(fixture)
        #expect(try await newest("u0")?.eventCount == 1)
        await fixture.close()
    }

    @Test func timelinesOfVersion1AreTakenOverAndWrittenAnew() async throws {
        let fixture = try await Fixture()
        // user = "u0", event_count = 70, last_offset = -1, events = [item "f1" at 1, item "f2" at 2]
        let old: [UInt8] =
            [0x0A, 2, 0x75, 0x30, 0x18, 70, 0x20, 1] + [0x2A, 6, 0x0A, 2, 0x66, 0x31, 0x10, 1]
            + [0x2A, 6, 0x0A, 2, 0x66, 0x32, 0x10, 2]
        let partition = Partitioner.partition(of: Array("u0".utf8), count: 2)
        try await fixture.log.append([
            OutgoingRecord(
                topic: Topic.userTimelines.rawValue,
                partition: partition,
                key: Array("u0".utf8),
                value: old
            )
        ])
        try await append([Event(user: "u0", item: "f3", time: 3)], to: fixture.log)
        try await runToTheEnd(fixture)
        let records = try await fixture.records(of: .userTimelines)
        let newest = try Timeline(decoding: try #require(records.last?.value), contentType: nil)
        #expect(newest.eventCount == 71)
        #expect(newest.events == (1...3).map { TimelineEvent(item: "f\($0)", time: Int64($0)) })
        await fixture.close()
    }
}

@Suite struct TopicCheckTests {
    private func log(events: Int32?, timelines: Int32?) async throws -> PostgresLog {
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase())
        let counts = [(Topic.userEvents, events), (.userTimelines, timelines)]
        try await log.createTopics(
            counts.compactMap { topic, count in
                count.map { TopicSpecification(name: topic.rawValue, partitionCount: $0, cleanup: .compact) }
            }
        )
        return log
    }

    @Test func refusesTimelinesOfAnotherPartitionCount() async throws {
        let log = try await log(events: 4, timelines: 3)
        await #expect(throws: StreamError.topicMismatch(topic: "user-timelines", expected: 4, found: 3)) {
            try await App.checkTopics(log)
        }
        await log.close()
    }

    @Test func refusesALogWithoutTimelines() async throws {
        let log = try await log(events: 4, timelines: nil)
        await #expect(throws: StreamError.unknownTopic("user-timelines")) { try await App.checkTopics(log) }
        await log.close()
    }

    @Test func takesTopicsOfTheSamePartitionCount() async throws {
        let log = try await log(events: 3, timelines: 3)
        try await App.checkTopics(log)
        await log.close()
    }
}
