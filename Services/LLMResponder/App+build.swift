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
        let (responder, modelVersion) = try makeResponder(configuration, logger)
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
            responder: responder,
            tokens: tokens,
            modelVersion: modelVersion,
            otherVersions: try await table.modelVersions().map(\.version).filter { $0 != modelVersion },
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
                        modelVersion: modelVersion,
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

    /// Loads the bundle and packs its language model; the rest of the bundle is given back.
    static func makeResponder(
        _ configuration: LLMResponderConfiguration,
        _ logger: Logger
    ) throws -> (Responder, modelVersion: String) {
        let bundle = try ModelBundle.load(configuration.bundle)
        logger.info(
            "loaded the model bundle",
            metadata: ["model.version": bundle.version, "compute": ComputeRuntime.description]
        )
        let responder = try Responder(
            bundle: bundle,
            settings: configuration.model,
            limits: configuration.answerLimits
        )
        return (responder, bundle.version)
    }
}
