import Foundation
import HTTPClient
import HTTPServer
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport

@testable import EventIngestor

/// Throws messages away.
struct SilentLogHandler: LogHandler {
    func log(_ entry: LogEntry) {}
}

let silentLogger = Logger(label: "test", handler: SilentLogHandler())

/// A log of a test's own, with the topic of events.
enum TestLog {
    /// Opens a log in a database of its own.
    static func open() async throws -> any MessageLog {
        let log = try await openLog(PrivatePostgres.shared().makeDatabase())
        try await log.createTopics([
            TopicSpecification(
                name: Topic.userEvents.rawValue,
                partitionCount: 4,
                cleanup: .delete(after: .seconds(86_400))
            )
        ])
        return log
    }

    /// All records of `user-events` whose key begins with a prefix, in order within each user.
    static func records(
        _ log: any MessageLog,
        ofUsers prefix: String,
        partitions: Int32 = 4
    ) async throws -> [Record] {
        let found = Collected()
        for partition in 0..<partitions {
            try await log.replay(TopicPartition(Topic.userEvents.rawValue, partition)) { records in
                found.add(records.filter { ($0.key ?? []).starts(with: Array(prefix.utf8)) })
            }
        }
        return found.records
    }

    private final class Collected: Sendable {
        private let state = Mutex<[Record]>([])
        var records: [Record] { state.withLock { $0 } }
        func add(_ records: [Record]) { state.withLock { $0 += records } }
    }
}

/// A log whose appends a test decides on; everything else is the real log's.
final class GuardedLog: ForwardingLog {
    let log: any MessageLog
    private let onAppend: @Sendable ([OutgoingRecord], any MessageLog) async throws(StreamError) -> Void

    init(
        _ log: any MessageLog,
        onAppend: @escaping @Sendable ([OutgoingRecord], any MessageLog) async throws(StreamError) -> Void
    ) {
        self.log = log
        self.onAppend = onAppend
    }

    func append(_ records: [OutgoingRecord]) async throws(StreamError) { try await onAppend(records, log) }
}

/// Runs the ingestor's routes on a real server around a body of requests.
func withIngestor(
    _ log: any MessageLog,
    maximumWaitingByteCount: Int = 1 << 20,
    isStrict: Bool = false,
    _ body: @escaping @Sendable (HTTPClient, String) async throws -> Void
) async throws {
    let metrics = EventIngestorMetrics(MetricsRegistry())
    let appender = EventAppender(
        log: log,
        maximumWaitingByteCount: maximumWaitingByteCount,
        metrics: metrics,
        health: Health().condition("log reachable", waitingFor: ""),
        logger: silentLogger
    )
    let routes = EventRoutes(appender: appender, maximumEventByteCount: 10_000, isStrict: isStrict, metrics: metrics)
    var configuration = HTTPServerConfiguration()
    configuration.maximumBodyByteCount = 1 << 20
    let server = try HTTPServer(configuration, handler: routes.router.respond)
    let (stopped, stop) = AsyncStream<Never>.makeStream()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run(until: { for await _ in stopped {} }) }
        group.addTask {
            defer { stop.finish() }
            try await body(HTTPClient(), "http://127.0.0.1:\(server.port)")
        }
        try await group.waitForAll()
    }
}

/// A reply of the ingestor.
struct Reply: Decodable {
    struct Problem: Decodable {
        let line: Int?
        let index: Int?
        let field: String?
        let message: String
    }
    struct Stop: Decodable {
        let line: Int?
        let index: Int?
    }
    let accepted: Int?
    let rejected: Int?
    let ignored: [String]?
    let stopped: Stop?
    let error: Problem?
    let errors: [Problem]?

    enum CodingKeys: String, CodingKey {
        case accepted, rejected, ignored, error, errors
        case stopped = "stopped_after"
    }

    init(_ response: HTTPClientResponse) throws { try self.init(response.body) }

    init(_ body: [UInt8]) throws { self = try JSONDecoder().decode(Self.self, from: Data(body)) }
}
