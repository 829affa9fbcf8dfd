import Foundation
import Glibc
import HTTPClient
public import ServiceRuntime
public import SystemClient

/// A system that `userllm up` runs in a folder of its own, for as long as a verification takes.
public final class LocalSystem: Sendable {
    /// What to start.
    public struct Options: Sendable {
        /// The message log's address; nil is the private database.
        public var log: String?
        /// The model bundle's folder.
        public var bundle: String
        /// How many encoder workers.
        public var encoderWorkers = 1
        /// How many embedding writers.
        public var embeddingWriters = 1
        /// How many responders.
        public var responders = 1
        /// Partitions of the topics.
        public var partitions = 8
        /// Further words of the command line.
        public var further: [String] = []

        /// Makes the options of a small system.
        public init(log: String? = nil, bundle: String) {
            self.log = log
            self.bundle = bundle
        }
    }

    /// The system's data folder.
    public let data: String
    private let child: ChildProcess
    private let output: String

    private init(data: String, child: ChildProcess, output: String) {
        self.data = data
        self.child = child
        self.output = output
    }

    /// The folder of the programs: that of the program or test bundle that runs now.
    public static var programs: String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().path
    }

    /// A new folder that the database's user can enter.
    public static func makeFolder() throws -> String {
        let folder = "/tmp/userllm-verify-\(UUID().uuidString.prefix(8).lowercased())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    /// The command line of `userllm up` on a folder.
    public static func upArguments(_ options: Options, data: String) -> [String] {
        var arguments = [
            "up", "--data", data, "--bundle", options.bundle, "--gateway-port", "0", "--ingestor-port", "0",
            "--encoder-workers", "\(options.encoderWorkers)", "--embedding-writers", "\(options.embeddingWriters)",
            "--llm-responders", "\(options.responders)", "--partitions", "\(options.partitions)",
            "--parent-process", "\(getpid())", "--ready-within", longestWait.configurationText,
        ]
        if let log = options.log { arguments += ["--log", log] }
        return arguments + options.further
    }

    /// Runs a command of `userllm` to its end.
    ///
    /// - Returns: how it ended and what it printed.
    public static func run(_ arguments: [String]) async throws -> (status: ChildProcess.Status, output: String) {
        let file = "/tmp/userllm-command-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let child = try await ChildProcess.start(specification("userllm", arguments, output: file))
        let status = await child.ended()
        return (status, (try? String(contentsOfFile: file, encoding: .utf8)) ?? "")
    }

    /// How to start one of the programs.
    public static func specification(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        output: String?
    ) -> ChildProcess.Specification {
        let own = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("USERLLM_") }
        return ChildProcess.Specification(
            executable: "\(programs)/\(program)",
            arguments: arguments,
            environment: own.merging(environment) { $1 },
            outputFile: output
        )
    }

    /// Starts a system and waits until it is up.
    public static func start(
        _ options: Options,
        in folder: String,
        within limit: Duration = longestWait
    ) async throws -> LocalSystem {
        let data = "\(folder)/data"
        let output = "\(folder)/up.log"
        let child = try await ChildProcess.start(
            specification("userllm", upArguments(options, data: data), output: output)
        )
        let system = LocalSystem(data: data, child: child, output: output)
        do {
            try await poll("the system is up", within: limit) {
                if let status = child.status { throw VerificationError("userllm up ended (\(status))") }
                return system.files.map { $0.isUp && $0.launcher == child.id } ?? false
            }
        } catch {
            await system.stop()
            throw VerificationError("\(error)\n\(system.printed)")
        }
        return system
    }

    /// What the launcher printed.
    public var printed: String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }

    /// The launcher's process id.
    public var launcher: Int32 { child.id }

    /// What the launcher wrote about the system; nil when it does not run.
    public var files: SystemFiles? { SystemFiles.read(data) }

    /// What the launcher wrote about the system.
    public func state() throws -> SystemFiles {
        guard let files else { throw VerificationError("there is no state in \(data)") }
        return files
    }

    /// A client of the first gateway and the first event ingestor.
    public func client() throws -> SystemClient {
        let state = try state()
        return SystemClient(gateway: state.gateways[0], ingestor: state.ingestors[0])
    }

    /// Ends a process as a crash would, and waits until it was started again.
    public func kill(_ name: String, instance: Int = 0) async throws {
        func process() throws -> SystemFiles.Process? {
            try state().processes.first { $0.name == name && $0.instance == instance }
        }
        guard let before = try process() else { throw VerificationError("no process \(name) \(instance) runs") }
        guard before.pid > 0 else { throw VerificationError("\(name) \(instance) does not run now") }
        _ = Glibc.kill(before.pid, SIGKILL)
        try await poll("\(name) \(instance) runs again") {
            guard let now = try process() else { return false }
            return now.pid > 0 && now.pid != before.pid
        }
    }

    /// Ends the launcher as a crash would.
    public func killLauncher() async {
        child.signal(SIGKILL)
        await child.ended()
    }

    /// Stops the system as Ctrl-C would.
    @discardableResult
    public func stop(signal number: Int32? = nil) async -> ChildProcess.Status {
        await child.stop(signal: number ?? SIGINT, patience: longestWait)
    }
}

/// How long something may take that has no limit of its own: only there to end a hang, on a machine however busy.
public let longestWait: Duration = .seconds(600)

/// Asks again and again until something is so.
///
/// - Throws: `VerificationError` naming it when it is not so in time.
public func poll(
    _ what: String,
    within limit: Duration = longestWait,
    every pause: Duration = .milliseconds(50),
    _ isSo: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !isSo() {
        guard ContinuousClock.now < end else {
            throw VerificationError("after \(limit.configurationText) it is still not so that \(what)")
        }
        try await Task.sleep(for: pause)
    }
}
