import LogAddresses
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Tensors
import UserModels

extension App {
    /// Builds the worker's components and runs them until the process is asked to stop.
    static func run(_ configuration: EncoderWorkerConfiguration, _ context: ProcessContext) async throws {
        let logger = context.logger
        let health = context.health.condition("timelines restored", waitingFor: "no partitions are assigned")
        let metrics = EncoderWorkerMetrics(context.metrics)
        let bundle = try ModelBundle.load(configuration.bundle)
        logger.info(
            "loaded the model bundle",
            metadata: ["model.version": bundle.version, "compute": ComputeRuntime.description]
        )
        let encoder = try Encoder(bundle: bundle, threads: configuration.threads)
        let log = try await openLog(configuration.log, logger: context.logger)
        let partitionCount = try await checkTopics(log)
        try await log.checkCleanup(
            of: [.userEvents, .userTimelines, .userEmbeddings],
            rejecting: .userEvents,
            logger: logger
        )
        var options = configuration.member.subscription(of: ConsumerGroup.encoderWorker, to: .userEvents)
        options.holdsNewPartitions = true
        options.outputTopics = [
            Topic.userTimelines.rawValue, Topic.userEmbeddings.rawValue, Topic.userEvents.rejected,
            Topic.userEvents.rawValue,
        ]
        let subscription = try await log.subscribe(options)
        let parts = EncodingFlow.Parts(
            log: log,
            subscription: subscription,
            encoder: encoder,
            partitionCount: partitionCount,
            modelVersion: bundle.version,
            timelineLength: bundle.timelineLength,
            contextRows: bundle.contextRows,
            contextColumns: bundle.contextColumns,
            catalogue: bundle.catalogue,
            rejectionRate: configuration.member.rejectionRate
        )
        try await context.run([
            LogService(log, lagOf: ConsumerGroup.encoderWorker, in: .userEvents, shownBy: metrics.stream),
            EncodingFlow(parts, metrics: metrics, health: health, logger: logger),
        ])
    }

    /// Checks that both topics have the same number of partitions, because a user's timeline is looked up in the
    /// partition of the user's events.
    ///
    /// - Returns: that number.
    @discardableResult
    static func checkTopics(_ log: any MessageLog) async throws -> Int32 {
        var counts: [Int32] = []
        for topic in [Topic.userEvents, .userTimelines] {
            guard let count = try await log.partitionCount(of: topic.rawValue) else {
                throw StreamError.unknownTopic(topic.rawValue)
            }
            counts.append(count)
        }
        guard counts[0] == counts[1] else {
            throw StreamError.topicMismatch(
                topic: Topic.userTimelines.rawValue,
                expected: counts[0],
                found: counts[1]
            )
        }
        return counts[0]
    }
}
