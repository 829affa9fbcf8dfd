import Datasets
import Foundation
import HTTPClient
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import Verification

/// What the benchmarks of the streams run on: a private database, a log with its topics, a model bundle, and no service
/// but those that a benchmark starts.
struct StreamStage: Sendable {
    /// Which message log.
    enum LogKind: String, CaseIterable, ConfigurationValue {
        /// The private database.
        case postgres
        /// A real Apache Kafka, started for the run.
        case kafka
    }

    static let logKey = ConfigurationKey<LogKind>("log", default: .postgres, help: "The message log")
    static let dataKey = ConfigurationKey<String>(
        "data",
        default: "../shared/data/ml-1m",
        help: "A MovieLens folder, whose events are sent in the order of their times"
    )
    static let partitionsKey = ConfigurationKey<Int>(
        "partitions",
        default: 8,
        in: 1...1_000,
        help: "Partitions of the topics"
    )
    /// The keys of every benchmark of the streams.
    static let keys: [any AnyConfigurationKey] = [logKey, dataKey, partitionsKey, BenchmarkTable.jsonKey]

    let system: LocalSystem
    let state: SystemFiles
    /// A folder of the run's own.
    let folder: String
    /// The bundle's folder: an untrained model of the shape that serves MovieLens-1M.
    let bundle: String
    let log: any MessageLog
    private let http = HTTPClient()

    /// Starts the stage, runs `body` and takes everything away.
    ///
    /// `languageModel` is a published one for the bundle; without it a small one is made.
    static func run<Result: Sendable>(
        _ reader: ConfigurationReader,
        languageModel: String? = nil,
        _ body: (StreamStage) async throws -> Result
    ) async throws -> Result {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let broker = try reader.value(of: logKey) == .kafka ? try await KafkaBroker.start(in: folder) : nil
        do {
            let result = try await run(reader, languageModel, folder, broker, body)
            await broker?.stop()
            return result
        } catch {
            await broker?.stop()
            throw error
        }
    }

    private static func run<Result: Sendable>(
        _ reader: ConfigurationReader,
        _ languageModel: String?,
        _ folder: String,
        _ broker: KafkaBroker?,
        _ body: (StreamStage) async throws -> Result
    ) async throws -> Result {
        let bundle = "\(folder)/bundle"
        let catalogue = try MovieLensFolder(path: try reader.value(of: dataKey)).catalogue()
        try SmallBundle.write(to: bundle, catalogue: catalogue, shape: .serving, languageModel: languageModel)
        var options = LocalSystem.Options(log: broker?.address, bundle: bundle)
        options.encoderWorkers = 0
        options.embeddingWriters = 0
        options.responders = 0
        options.partitions = try reader.value(of: partitionsKey)
        options.further = ["--gateways", "0", "--event-ingestors", "0"]
        let system = try await LocalSystem.start(options, in: folder)
        do {
            let state = try system.state()
            let log = try await openLog(state.log)
            let stage = StreamStage(system: system, state: state, folder: folder, bundle: bundle, log: log)
            let result = try await body(stage)
            await log.close()
            await system.stop()
            return result
        } catch {
            await system.stop()
            throw error
        }
    }

    /// A service that a benchmark started.
    struct RunningService: Sendable {
        let child: ChildProcess
        fileprivate let claims: (admin: PortClaim, own: PortClaim)
        /// The port that it serves, if it serves one.
        var port: Int { claims.own.port }
    }

    /// Starts a service and waits until it is ready.
    func start(_ program: String, _ arguments: [String] = [], servesHTTP: Bool = false) async throws -> RunningService {
        let claims = (admin: try PortClaim(), own: try PortClaim())
        let adminPort = claims.admin.port
        let child = try await ChildProcess.start(
            LocalSystem.specification(
                program,
                ["--admin-port", "\(adminPort)", "--parent-process", "\(ProcessInfo.processInfo.processIdentifier)"]
                    + (servesHTTP ? ["--port", "\(claims.own.port)"] : []) + arguments,
                environment: ["USERLLM_LOG": state.log, "USERLLM_DATABASE": state.database],
                output: "\(folder)/\(program).log"
            )
        )
        try await poll("\(program) is ready", within: .seconds(60), every: .milliseconds(5)) {
            if let status = child.status { throw VerificationError("\(program) ended (\(status))") }
            let request = HTTPClientRequest("GET", "http://127.0.0.1:\(adminPort)/readyz", timeout: .seconds(2))
            return (try? await http.send(request))?.status == 200
        }
        return RunningService(child: child, claims: claims)
    }

    /// A number of a service's metrics page, summed over its labels; 0 when it is not there.
    func metric(_ name: String, of service: RunningService) async throws -> Double {
        let request = HTTPClientRequest(
            "GET",
            "http://127.0.0.1:\(service.claims.admin.port)/metrics",
            timeout: .seconds(5)
        )
        let lines = try await http.send(request).text.split(separator: "\n")
        return lines.filter { $0.hasPrefix("\(name) ") || $0.hasPrefix("\(name){") }
            .reduce(0) { $0 + ($1.split(separator: " ").last.flatMap { Double($0) } ?? 0) }
    }

    /// The events of a MovieLens folder in the order of their times.
    static func events(_ reader: ConfigurationReader, atMost count: Int) throws -> [Event] {
        let folder = try MovieLensFolder(path: try reader.value(of: dataKey))
        var events: [Event] = []
        var source = try folder.events()
        try source.forEach { events.append($0) }
        // Sorted by place too, so that the order is the same each time.
        let order = events.indices.sorted { (events[$0].time, $0) < (events[$1].time, $1) }
        return order.prefix(count).map { events[$0] }
    }

    /// Appends records, some thousand at a time.
    func append(_ records: [OutgoingRecord], pieces: Int = 5_000) async throws {
        for start in stride(from: 0, to: records.count, by: pieces) {
            try await log.append(Array(records[start..<min(start + pieces, records.count)]))
        }
    }

    /// The record of an event, as the event ingestor makes it.
    static func record(_ event: Event) throws -> OutgoingRecord {
        OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array(event.user.utf8), value: try event.encoded())
    }
}

/// Seconds that something takes.
func seconds(_ body: () async throws -> Void) async rethrows -> Double {
    let start = ContinuousClock.now
    try await body()
    return (ContinuousClock.now - start) / .seconds(1)
}

/// The middle one of some numbers.
func median(_ numbers: [Double]) -> Double { numbers.sorted()[numbers.count / 2] }

extension StreamStage {
    /// Runs a statement with `psql`, and gives what it prints.
    @discardableResult
    func psql(_ statement: String) async throws -> String {
        let output = "\(folder)/psql-\(UUID().uuidString)"
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: "/usr/bin/psql",
                arguments: ["-qXAt", "-v", "ON_ERROR_STOP=1", "-d", state.database, "-c", statement],
                environment: ProcessInfo.processInfo.environment,
                outputFile: output
            )
        )
        let status = await child.ended()
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        guard status == .exited(0) else { throw VerificationError("psql: \(status), \(text)") }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
