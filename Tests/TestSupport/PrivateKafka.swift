import Foundation
import Glibc
public import KafkaLogs
import ServiceRuntime
import MessageLogs

/// A real Apache Kafka broker for tests: one for each test process, on free ports, in a folder that goes with it.
///
/// It is looked for in the folder `KAFKA_HOME` names, else in `../shared/kafka` beside the repository. Where there is
/// none, suites that need it show as skipped, with `unavailableReason`.
public actor PrivateKafka {
    /// Why there is no broker here; nil when there is one.
    public static let unavailableReason: String? = {
        guard let start else {
            return "no Apache Kafka: KAFKA_HOME is not set, and there is no ../shared/kafka beside the repository"
        }
        guard FileManager.default.isExecutableFile(atPath: start) else { return "\(start) is not an executable file" }
        guard path(of: "java") != nil else { return "Kafka needs Java 17: apt-get install openjdk-17-jre-headless" }
        return nil
    }()

    /// Whether there is a broker here.
    public static var isAvailable: Bool { unavailableReason == nil }

    /// The process's broker, started by the first who asks.
    public static func shared() async throws -> PrivateKafka {
        try await instance.ensureRunning()
        return instance
    }

    /// A broker for one test alone, which may be killed without disturbing others.
    ///
    /// - Parameter settings: further settings of the broker, as in `log.cleaner.enable=false`.
    /// - Returns: the broker, which answers.
    /// - Throws: `Failure`.
    public static func separate(settings: [String] = []) async throws -> PrivateKafka {
        let broker = PrivateKafka(settings: settings)
        try await broker.ensureRunning()
        return broker
    }

    private static let instance = PrivateKafka()

    private static let start: String? = {
        if let home = ProcessInfo.processInfo.environment["KAFKA_HOME"], !home.isEmpty { return home + "/start" }
        // Tests/TestSupport/PrivateKafka.swift is three levels below the repository's root.
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let start = root.deletingLastPathComponent().path + "/shared/kafka/start"
        return FileManager.default.fileExists(atPath: start) ? start : nil
    }()

    private let folder = NSTemporaryDirectory() + "userllm-kafka-\(UUID().uuidString)"
    /// The broker's port and its controller's, held so that a broker that died finds them again.
    private var ports: [PortClaim] = []
    private var port: Int { ports.first?.port ?? 0 }
    private var starting: Task<Void, any Error>?
    /// The broker, and the shell that watches over it.
    private var broker: pid_t = 0
    private var watchers: [(process: Process, lifeline: Pipe)] = []

    private let settings: [String]

    private init(settings: [String] = []) {
        self.settings = settings
    }

    /// The broker's address, as in `kafka://127.0.0.1:9092`.
    public var address: String { "kafka://127.0.0.1:\(port)" }

    /// Where the broker keeps its topics.
    public var topicFolder: String { "\(folder)/logs" }

    /// Opens a log on this broker, which may answer late where it shares its machine with a whole test run.
    public func openLog(settings: [String: String] = [:]) async throws -> KafkaLog {
        let patient = ["connect.timeout.ms": "600000", "delivery.timeout.ms": "600000"]
        return try await KafkaLog(address: address, settings: patient.merging(settings) { $1 })
    }

    /// Ends the broker as a crash of the machine would end it.
    public func kill() throws {
        guard broker > 0 else { throw Failure("the broker does not run") }
        Glibc.kill(broker, SIGKILL)
        broker = 0
    }

    /// Starts the broker again on the same port and data, and waits until it answers.
    public func restart() async throws {
        try launch()
        try await waitUntilReady()
    }

    /// Ends the broker and removes its folder; the process's end does the same.
    public func stop() {
        for (_, lifeline) in watchers { try? lifeline.fileHandleForWriting.close() }
        watchers.removeAll()
        broker = 0
    }

    private func ensureRunning() async throws {
        if starting == nil {
            if let reason = Self.unavailableReason { throw Failure(reason) }
            starting = Task {
                ports = [try PortClaim(), try PortClaim()]
                try launch()
                try await waitUntilReady()
            }
        }
        try await starting?.value
    }

    private func launch() throws {
        guard let start = Self.start else { throw Failure("there is no broker to start") }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let (process, lifeline, output) = (Process(), Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        // The lifeline closes when this process ends, however it ends; then the broker goes and its folder with it.
        let script = """
            "$1" "$2" "${@:3}" < /dev/null > "$2.log" 2>&1 & echo $!
            exec 2> /dev/null
            cat > /dev/null
            kill -9 $!; wait; rm -rf "$2" "$2.log"
            """
        process.arguments = [
            "-c", script, "kafka", start, folder, "\(port)",
            "listeners=PLAINTEXT://127.0.0.1:\(port),CONTROLLER://127.0.0.1:\(ports[1].port)",
            "controller.quorum.voters=1@127.0.0.1:\(ports[1].port)", "group.min.session.timeout.ms=1000",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms=500", "log.cleaner.min.compaction.lag.ms=0",
        ]
        process.arguments?.append(contentsOf: settings)
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let pid = pid_t(line.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Failure("the broker's shell said '\(line)' instead of its process id")
        }
        broker = pid
        watchers.append((process, lifeline))
    }

    private func waitUntilReady() async throws {
        do {
            let log = try await KafkaLog(address: address, settings: ["connect.timeout.ms": "600000"])
            await log.close()
        } catch {
            let text = (try? String(contentsOfFile: folder + ".log", encoding: .utf8)) ?? ""
            throw Failure("the broker at \(address) did not start: \(error)\n\(text.suffix(2_000))")
        }
    }

    private static func path(of program: String) -> String? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        return folders.map { "\($0)/\(program)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Why the broker could not be had.
    public struct Failure: Error, CustomStringConvertible {
        /// The reason.
        public let description: String

        init(_ description: String) {
            self.description = description
        }
    }
}
