import Datasets
import Foundation
import Bytes
import Catalogues
import Messages
import PostgresLogs
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import TestSupport
import Testing
import UserModels
import UserTimelines
import Verification

@testable import EncoderWorker

/// The flow on a real log, with commits that are refused.
@Suite struct EncodingFlowTests {
    @Test(arguments: [1, 2, 4])
    func aRefusedCommitIsDoneAgainFromTheLastOffset(which: Int) async throws {
        let fixture = try await FlowFixture()
        let address = fixture.address
        let cluster = try PrivatePostgres.shared()
        try await fixture.append(FlowFixture.events(users: 8, each: 8))
        for partition: Int32 in 0..<2 {
            let range = try await fixture.log.watermarks(of: TopicPartition(Topic.userEvents.rawValue, partition))
            try #require(range.high > 0, "no user is in partition \(partition)")
        }
        let subscription = DisturbedSubscription(try await fixture.subscribe(), at: which) {
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
        let fixture = try await FlowFixture()
        for part in 0..<3 {
            try await fixture.append(FlowFixture.events(users: 4, each: 5))
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

    @Test func aRetryCountsOnceAlsoAfterARestartAndADeletionForgetsIt() async throws {
        let fixture = try await FlowFixture()
        func newest(_ user: UserID) async throws -> Timeline? {
            try await fixture.records(of: .userTimelines).last { $0.key == Array(user.utf8) }
                .flatMap { try $0.value.map { try Timeline(decoding: $0, contentType: nil) } }
        }
        let events = (0..<8).map { Event(id: "id-\($0)", user: "u0", item: "f\($0 + 1)", time: Int64($0) * 1_000) }
        try await fixture.append(events)
        try await fixture.append([events[3], events[7]])
        try await fixture.runToTheEnd()
        let first = try #require(try await newest("u0"))
        #expect(first.eventCount == 8)
        #expect(first.events.map(\.item) == events.map(\.item))

        try await fixture.append(
            Array(events[2...5]) + [Event(id: "id-8", user: "u0", item: "f9", time: 9_000)]
        )
        try await fixture.runToTheEnd()
        let second = try #require(try await newest("u0"))
        #expect(second.eventCount == 9)
        #expect(second.events.count == 9)
        #expect(second.lastOffset == first.lastOffset + 5)
        #expect(fixture.metrics.text.contains("userllm_encoder_worker_events_repeated_total 6"))

        try await fixture.log.append([
            OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array("u0".utf8), value: nil)
        ])
        try await fixture.append([events[0]])
        try await fixture.runToTheEnd()
        #expect(try await newest("u0")?.eventCount == 1)
        await fixture.close()
    }

    @Test func theSeenItemsAreInTheEmbeddingAlsoAfterARestart() async throws {
        let fixture = try await FlowFixture()
        func seen() async throws -> [ItemID] {
            let newest = try await fixture.records(of: .userEmbeddings).last { $0.key == Array("u0".utf8) }
            let embedding = try UserEmbedding(decoding: try #require(newest?.value), contentType: nil)
            return embedding.seenItems.numbers.map { fixture.bundle.catalogue.items[Int($0)].id }
        }
        func events(_ items: [ItemID]) -> [Event] { items.map { Event(user: "u0", item: $0, time: 1_000) } }
        // More than a timeline keeps, one of them twice, and one that no answer can be.
        let first = (1...30).map { ItemID("f\($0)") }
        try #require(first.count > fixture.bundle.timelineLength)
        try await fixture.append(events(["unknown", "f3"] + first))
        try await fixture.runToTheEnd()
        #expect(try await Set(seen()) == Set(first))
        try await fixture.append(events(["f40"]))
        try await fixture.runToTheEnd()
        #expect(try await Set(seen()) == Set(first + ["f40"]))
        #expect(try await seen().count == 31)
        // Who is forgotten has had nothing.
        try await fixture.log.append([
            OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array("u0".utf8), value: nil)
        ])
        try await fixture.append(events(["f2"]))
        try await fixture.runToTheEnd()
        #expect(try await seen() == ["f2"])
        await fixture.close()
    }

    @Test func timelinesOfTheTopicAreTakenOver() async throws {
        let fixture = try await FlowFixture()
        let old = Timeline(
            user: "u0",
            eventCount: 70,
            lastOffset: 0,
            events: [TimelineEvent(item: "f1", time: 1), TimelineEvent(item: "f2", time: 2)]
        )
        let partition = Partitioner.partition(of: Array("u0".utf8), count: 2)
        try await fixture.log.append([
            OutgoingRecord(
                topic: Topic.userTimelines.rawValue,
                partition: partition,
                key: Array("u0".utf8),
                value: try old.encoded()
            )
        ])
        // The first of these is in the timeline already.
        try await fixture.append([Event(user: "u0", item: "f2", time: 2), Event(user: "u0", item: "f3", time: 3)])
        try await fixture.runToTheEnd()
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
