import LogAddresses
import Messages
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs
import UserModels

extension App {
    /// Builds the writer's components and runs them until the process is asked to stop.
    static func run(_ configuration: EmbeddingWriterConfiguration, _ context: ProcessContext) async throws {
        let logger = context.logger
        let health = EmbeddingWriterHealth(context.health)
        let metrics = EmbeddingWriterMetrics(context.metrics)
        let shape: ModelBundle.ContextShape?
        if let bundle = configuration.bundle {
            shape = try ModelBundle.ContextShape(ofBundle: bundle)
        } else {
            shape = nil
            logger.warning("without --bundle the shape of embeddings is not held against the model's")
        }
        let table = try await EmbeddingTable(database: configuration.database)
        try await table.migrate()
        health.databaseAnswers()
        let log = try await openLog(configuration.log, logger: context.logger)
        try await log.checkCleanup(of: [.userEmbeddings], rejecting: .userEmbeddings, logger: logger)
        let options = configuration.member.subscription(
            of: ConsumerGroup.embeddingWriter,
            to: .userEmbeddings,
            keepsOwnOffsets: true
        )
        try await context.run([
            LogService(log, lagOf: ConsumerGroup.embeddingWriter, in: .userEmbeddings, shownBy: metrics.stream),
            WritingFlow(
                log,
                options,
                table,
                shape: shape,
                rejectionRate: configuration.member.rejectionRate,
                metrics: metrics,
                health: health,
                logger: logger
            ),
        ])
    }
}
