import HTTPServer
import LogAddresses
import Messages
import ServiceRuntime
import Flows
import MessageLogs

extension App {
    /// Builds the gateway's components and runs them until the process is asked to stop.
    static func run(_ configuration: GatewayConfiguration, _ context: ProcessContext) async throws {
        let log = try await openLog(configuration.log, logger: context.logger)
        try await log.checkCleanup(of: [.questions, .answers, .answerTokens], logger: context.logger)
        let metrics = GatewayMetrics(context.metrics)
        let board = AnswerBoard(
            maximumCount: configuration.cachedAnswerCount,
            maximumByteCount: configuration.cachedByteCount
        )
        let routes = QuestionRoutes(
            log: log,
            board: board,
            waitingRoom: WaitingRoom(
                maximumCount: configuration.waiting.maximumCount,
                maximumCountPerClient: configuration.waiting.maximumCountPerClient
            ),
            configuration: configuration,
            metrics: metrics
        )
        try await context.run([
            LogService(log),
            AnswerFlow(
                log: log,
                board: board,
                instance: configuration.instance,
                metrics: metrics,
                health: context.health.condition("answers followed", waitingFor: "not connected yet"),
                logger: context.logger
            ),
            HTTPService(configuration.http, metrics: metrics.http, logger: context.logger, router: routes.router),
        ])
    }
}
