import Foundation
import HTTPClient
import HTTPServer
import LogAddresses
import Messages
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import Gateway
@testable import ServiceRuntime

struct SilentLogHandler: LogHandler {
    func log(_ entry: LogEntry) {}
}

/// One gateway on a real log: its server and its flow of answers.
struct Gateway: Sendable {
    let log: any MessageLog
    let board = AnswerBoard(maximumCount: 1_000, maximumByteCount: 1 << 20)
    let metrics = GatewayMetrics(MetricsRegistry())
    let health = Health()
    let waitingRoom: WaitingRoom
    let server: HTTPServer
    private let flow: AnswerFlow
    var url: String { "http://127.0.0.1:\(server.port)" }

    init(_ log: any MessageLog, _ flags: [String: String] = [:]) throws {
        self.log = log
        let reader = try ConfigurationReader(
            keys: GatewayConfiguration.keys,
            flags: ["port": "0", "heartbeat": "20ms", "maximum-wait": "40s"].merging(flags) { $1 }
        )
        let configuration = try GatewayConfiguration(reader: reader)
        waitingRoom = WaitingRoom(
            maximumCount: configuration.waiting.maximumCount,
            maximumCountPerClient: configuration.waiting.maximumCountPerClient
        )
        let routes = QuestionRoutes(
            log: log,
            board: board,
            waitingRoom: waitingRoom,
            configuration: configuration,
            metrics: metrics
        )
        server = try HTTPServer(configuration.http.server, handler: routes.router.respond)
        flow = AnswerFlow(
            log: log,
            board: board,
            instance: UUID().uuidString,
            metrics: metrics,
            health: health.condition("answers followed", waitingFor: "not connected yet"),
            logger: Logger(label: "test", handler: SilentLogHandler())
        )
    }

    func run(until shutdown: Shutdown) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await flow.run(until: shutdown) }
            group.addTask { try await server.run(until: { await shutdown.requested() }) }
            try await group.waitForAll()
        }
    }
}

/// Runs gateways on one log around a body of requests.
func withGateways(
    _ count: Int = 1,
    _ flags: [String: String] = [:],
    _ body: @escaping @Sendable (any MessageLog, [Gateway], HTTPClient) async throws -> Void
) async throws {
    let log = try await openLog(PrivatePostgres.shared().makeDatabase())
    let topics: [Topic] = [.questions, .answers, .answerTokens]
    try await log.createTopics(
        topics.map {
            TopicSpecification(name: $0.rawValue, partitionCount: 2, cleanup: .delete(after: .seconds(3_600)))
        }
    )
    let gateways = try (0..<count).map { _ in try Gateway(log, flags) }
    let shutdown = Shutdown()
    try await withThrowingTaskGroup(of: Void.self) { group in
        for gateway in gateways { group.addTask { try await gateway.run(until: shutdown) } }
        group.addTask {
            defer { shutdown.request() }
            while !gateways.allSatisfy(\.health.isReady) { try await Task.sleep(for: .milliseconds(5)) }
            try await body(log, gateways, HTTPClient())
        }
        try await group.waitForAll()
    }
    await log.close()
}
