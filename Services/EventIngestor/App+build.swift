import HTTPServer
import LogAddresses
import Messages
import ServiceRuntime
import Flows
import MessageLogs

extension App {
    /// Builds the service's components and runs them until the process is asked to stop.
    static func run(_ configuration: EventIngestorConfiguration, _ context: ProcessContext) async throws {
        let log = try await openLog(configuration.log, logger: context.logger)
        try await checkTopic(log, context.logger)
        let health = context.health.condition("log reachable", waitingFor: "not asked yet")
        health.holds()
        let metrics = EventIngestorMetrics(context.metrics)
        let appender = EventAppender(
            log: log,
            maximumWaitingByteCount: configuration.maximumWaitingByteCount,
            metrics: metrics,
            health: health,
            logger: context.logger
        )
        let routes = EventRoutes(
            appender: appender,
            maximumEventByteCount: configuration.maximumEventByteCount,
            isStrict: configuration.isStrict,
            metrics: metrics
        )
        try await context.run([
            LogService(log),
            HTTPService(configuration.http, metrics: metrics.http, logger: context.logger, router: routes.router),
        ])
    }

    /// Imports a file; returns when all of it is in the log, or the process is asked to stop.
    static func run(_ configuration: ImportConfiguration, _ context: ProcessContext) async throws {
        let source = try ImportSource(configuration)
        let log = try await openLog(configuration.log, logger: context.logger)
        let partitionCount = try await checkTopic(log, context.logger)
        let flow = ImportFlow(
            configuration: configuration,
            source: source,
            log: log,
            partitionCount: partitionCount,
            logger: context.logger
        )
        try await context.run([
            LogService(log),
            flow,
        ])
    }

    /// Resends rejected records; returns when all that existed at the start are sent, or the process is asked to stop.
    static func run(_ configuration: ReplayConfiguration, _ context: ProcessContext) async throws {
        let log = try await openLog(configuration.log, logger: context.logger)
        let flow = ReplayFlow(topic: configuration.topic, isDryRun: configuration.isDryRun, log: log) { summary in
            print(summary.text(topic: configuration.topic, isDryRun: configuration.isDryRun))
        }
        try await context.run([
            LogService(log),
            flow,
        ])
    }

    @discardableResult
    private static func checkTopic(_ log: any MessageLog, _ logger: Logger) async throws -> Int32 {
        guard let count = try await log.partitionCount(of: Topic.userEvents.rawValue) else {
            throw StreamError.unknownTopic(Topic.userEvents.rawValue)
        }
        try await log.checkCleanup(of: [.userEvents], logger: logger)
        return count
    }
}
