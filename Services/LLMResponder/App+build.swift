import LogAddresses
import Messages
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs
import Tensors
import UserModels

extension App {
    /// Builds the responder's components and runs them until the process is asked to stop.
    static func run(_ configuration: LLMResponderConfiguration, _ context: ProcessContext) async throws {
        let logger = context.logger
        let health = context.health.condition("partitions assigned", waitingFor: "no partitions are assigned")
        let metrics = LLMResponderMetrics(context.metrics)
        let bundle = try ModelBundle.load(configuration.bundle)
        logger.info(
            "loaded the model bundle",
            metadata: ["model.version": bundle.version, "compute": ComputeRuntime.description]
        )
        let database = context.health.condition("database reachable", waitingFor: "it was not asked yet")
        let table = try await EmbeddingTable(database: configuration.database)
        try await table.migrate()
        database.holds()
        let log = try await openLog(configuration.log, logger: context.logger)
        try await log.checkCleanup(of: [.questions, .answers, .answerTokens], rejecting: .questions, logger: logger)
        var options = configuration.member.subscription(of: ConsumerGroup.llmResponder, to: .questions)
        options.holdsNewPartitions = true
        options.outputTopics = [Topic.answers.rawValue, Topic.questions.rejected]
        let subscription = try await log.subscribe(options)
        let tokens = TokenPublisher(log: log, metrics: metrics.stream, logger: logger)
        let answering = Answering(
            table: table,
            responder: try Responder(
                bundle: bundle,
                settings: configuration.model,
                limits: configuration.answerLimits
            ),
            tokens: tokens,
            modelVersion: bundle.version,
            otherVersions: try await table.modelVersions().map(\.version).filter { $0 != bundle.version },
            health: database
        )
        let embeddings = try EmbeddingWatch(database: configuration.database)
        try await context.run([
            LogService(
                log,
                lagOf: ConsumerGroup.llmResponder,
                in: .questions,
                shownBy: metrics.stream,
                // Parked questions count as lag of the group, but they have been read.
                unread: metrics.unread
            ),
            tokens,
            RespondingFlow(
                log,
                subscription,
                answering,
                watch: {
                    RowWatch(
                        embeddings,
                        modelVersion: bundle.version,
                        metrics: metrics.stream,
                        health: database,
                        signal: $0
                    )
                },
                parking: configuration.parking,
                runningLimit: configuration.model.runningCount,
                rejectionRate: configuration.member.rejectionRate,
                metrics: metrics,
                health: health,
                logger: logger
            ),
        ])
    }
}
