import Datasets
import Foundation
import Bytes
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

/// A real log with two partitions, and a flow with a tiny model.
struct FlowFixture {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    private actor Collector {
        private(set) var records: [Record] = []
        func take(_ some: [Record]) { records += some }
    }

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
                partitionCount: 2,
                modelVersion: bundle.version,
                timelineLength: bundle.timelineLength,
                contextRows: bundle.contextRows,
                contextColumns: bundle.contextColumns,
                catalogue: bundle.catalogue,
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

    func append(_ events: [Event]) async throws {
        try await log.append(
            events.map {
                OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array($0.user.utf8), value: try $0.encoded())
            }
        )
    }

    /// Events of users who take turns.
    static func events(users: Int, each count: Int) -> [Event] {
        (0..<count).flatMap { index in
            (0..<users).map { Event(user: "u\($0)", item: "f\(index % 50 + 1)", time: Int64(index) * 1_000) }
        }
    }

    /// Runs the flow as a new process would, until all events are encoded.
    func runToTheEnd(_ rate: RejectionRate = RejectionRate()) async throws {
        let subscription = try await subscribe()
        let flow = try flow(subscription, rate)
        let shutdown = Shutdown()
        async let running: Void = flow.run(until: shutdown)
        try await poll("all events are encoded") { try await drained() }
        shutdown.request()
        try await running
    }
}

/// Lets one commit find that its partitions went elsewhere meanwhile.
actor DisturbedSubscription: Subscription {
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
