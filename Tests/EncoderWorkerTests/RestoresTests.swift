import Bytes
import Messages
import PostgresLogs
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing
import UserTimelines
import Verification

@testable import EncoderWorker

/// Restoring beside the work, on a real log whose replays wait for the test.
@Suite struct RestoresTests {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    /// Holds the replay of one partition back until it is let go.
    private final class SlowLog: ForwardingLog {
        let log: any MessageLog
        let slow: TopicPartition
        let reached = Shutdown()
        let letGo = Shutdown()

        init(_ log: any MessageLog, slow: TopicPartition) {
            self.log = log
            self.slow = slow
        }

        func replay(
            _ partition: TopicPartition,
            last count: Int64?,
            waitingForOpenTransactions waits: Bool,
            _ body: @Sendable ([Record]) async throws -> Void
        ) async throws {
            if partition == slow {
                reached.request()
                await letGo.requested()
            }
            try await log.replay(partition, last: count, waitingForOpenTransactions: waits, body)
        }
    }

    /// Passes on to a subscription, and keeps the floors that it was given.
    private actor Listening: Subscription {
        private let subscription: any Subscription
        private nonisolated let given = Mutex<[TopicPartition: Int64]>([:])

        init(_ subscription: any Subscription) { self.subscription = subscription }

        nonisolated var floors: [TopicPartition: Int64] { given.withLock { $0 } }

        func next() async throws(StreamError) -> SubscriptionEvent? { try await subscription.next() }
        func readyBatch() async throws(StreamError) -> Batch? { try await subscription.readyBatch() }
        func commit(
            _ offsets: [TopicPartition: Int64],
            producing outputs: [OutgoingRecord]
        ) async throws(StreamError) {
            try await subscription.commit(offsets, producing: outputs)
        }
        func start(at offsets: [TopicPartition: Int64]) async throws(StreamError) {
            try await subscription.start(at: offsets)
        }
        nonisolated func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64]) {
            given.withLock { $0.merge(floors) { $1 } }
            subscription.resume(partitions, notBefore: floors)
        }
        func close() async { await subscription.close() }
    }

    /// The first users whose partition it is.
    private static func users(of partition: TopicPartition, count: Int) -> [UserID] {
        let all = (0...).lazy.map { UserID("u\($0)") }
        let own = all.filter { Partitioner.partition(of: Array($0.utf8), count: 2) == partition.partition }
        return Array(own.prefix(count))
    }

    private static let quick = TopicPartition(Topic.userEvents.rawValue, 0)
    private static let slow = TopicPartition(Topic.userEvents.rawValue, 1)

    private struct Bench {
        let log: SlowLog
        let subscription: Listening
        let timelines = Timelines(length: 50, partitionCount: 2)
        let metrics = MetricsRegistry()
        let health = Health()
        let restores: Restores

        init(slowUserCount: Int = 1) async throws {
            let address = try PrivatePostgres.shared().makeDatabase()
            let log = SlowLog(
                try await PostgresLog(address: address),
                slow: TopicPartition(Topic.userTimelines.rawValue, slow.partition)
            )
            try await log.createTopics(TopicSpecification.system(partitionCount: 2))
            // As if 50,000 events had come and gone.
            try PrivatePostgres.shared().psql(
                address,
                """
                UPDATE userllm_log.partitions p SET next_offset = 50001, low_offset = 50001 FROM userllm_log.topics t
                WHERE t.id = p.topic_id AND t.name = 'user-events' AND p.partition = 1
                """
            )
            for (partition, userCount) in [(quick, 1), (slow, slowUserCount)] {
                let users = RestoresTests.users(of: partition, count: userCount)
                let timelines = users.enumerated().map { index, user in
                    Timeline(
                        user: user,
                        eventCount: 1,
                        lastOffset: (50_000 - Int64(index)) * Int64(partition.partition),
                        events: [TimelineEvent(item: "f1", time: 0)]
                    )
                }
                try await log.append(
                    try timelines.map {
                        OutgoingRecord(
                            topic: Topic.userTimelines.rawValue,
                            partition: partition.partition,
                            key: Array($0.user.utf8),
                            value: try $0.encoded()
                        )
                    }
                )
                try await log.append([
                    OutgoingRecord(
                        topic: partition.topic,
                        partition: partition.partition,
                        key: Array(users[0].utf8),
                        value: [1]
                    )
                ])
            }
            subscription = Listening(
                try await log.subscribe(
                    SubscriptionOptions(
                        topics: [Topic.userEvents.rawValue],
                        membership: .group("restores"),
                        memberName: "restores-test",
                        holdsNewPartitions: true
                    )
                )
            )
            self.log = log
            restores = Restores(
                log,
                subscription,
                timelines,
                metrics: EncoderWorkerMetrics(metrics),
                health: health.condition("timelines restored", waitingFor: "no partitions are assigned"),
                logger: Logger(label: "test", handler: Silent())
            )
        }

        func assigned() async throws -> [TopicPartition] {
            guard case .assigned(let partitions) = try await subscription.next() else {
                throw VerificationError("the first event is no assignment")
            }
            return partitions
        }

        func batch() async throws -> Batch {
            guard case .batch(let batch) = try await subscription.next() else {
                throw VerificationError("the next event is no batch")
            }
            return batch
        }

        func shows(_ line: String) -> Bool { metrics.text.split(separator: "\n").contains { $0 == line } }

        func close() async {
            await subscription.close()
            await log.close()
        }
    }

    /// Where enough users agree, the slow one goes on 20,000 records before the state, for its group has committed nothing:
    /// more than the largest batch.
    @Test(
        .timeLimit(.minutes(15)),
        arguments: [(users: 16, floor: 29_985), (users: 15, floor: nil)] as [(Int, Int64?)]
    )
    func partitionsThatAreRestoredFlowWhileOthersAreNot(users: Int, floor: Int64?) async throws {
        let bench = try await Bench(slowUserCount: users)
        let partitions = try await bench.assigned()
        #expect(partitions == [Self.quick, Self.slow])
        async let running: Void = bench.restores.run()
        bench.restores.begin(partitions)
        #expect(!bench.health.isReady)

        let first = try await bench.batch()
        #expect(first.records.map(\.source) == [Self.quick])
        try await bench.subscription.commit(first, producing: [])
        await bench.log.reached.requested()
        #expect(bench.restores.isDone(Self.quick) && !bench.restores.isDone(Self.slow))
        #expect(bench.health.reasons.first?.reason.contains("user-events/1") == true)
        #expect(bench.shows(#"userllm_encoder_worker_partition_ready{partition="0"} 1"#))
        #expect(bench.shows(#"userllm_encoder_worker_partition_ready{partition="1"} 0"#))

        bench.log.letGo.request()
        let second = try await bench.batch()
        #expect(second.records.map(\.source) == [Self.slow])
        #expect(bench.restores.isDone(Self.slow) && bench.health.isReady)
        #expect(await bench.timelines.size.users == users + 1)
        #expect(bench.subscription.floors == (floor.map { [Self.slow: $0] } ?? [:]))
        bench.restores.end()
        try await running
        await bench.close()
    }

    @Test(.timeLimit(.minutes(15))) func aPartitionThatGoesElsewhereMeanwhileIsNeverResumed() async throws {
        let bench = try await Bench()
        let partitions = try await bench.assigned()
        async let running: Void = bench.restores.run()
        bench.restores.begin(partitions)
        await bench.log.reached.requested()
        // The wait for the replay is cancelled, so this returns although nobody lets it go.
        await bench.restores.cancel([Self.slow])
        await bench.timelines.drop([Self.slow.partition])
        bench.log.letGo.request()
        bench.restores.end()
        try await running
        #expect(!bench.restores.isDone(Self.slow) && bench.restores.isDone(Self.quick))
        #expect(await bench.timelines.size.users == 1)
        #expect(bench.health.isReady)
        #expect(!bench.metrics.text.contains(#"partition_ready{partition="1"}"#))
        await bench.close()
    }

    @Test(.timeLimit(.minutes(15))) func theEndDoesNotWaitForARestore() async throws {
        let bench = try await Bench()
        let partitions = try await bench.assigned()
        async let running: Void = bench.restores.run()
        bench.restores.begin(partitions)
        await bench.log.reached.requested()
        bench.restores.end()
        try await running
        #expect(!bench.restores.isDone(Self.slow))
        await bench.close()
    }
}
