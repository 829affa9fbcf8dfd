import Foundation
import Glibc
import HTTPClient
public import ServiceRuntime

/// A process of a service that a verification starts itself, beside a launcher's or without one.
///
/// It ends when the verification's process ends.
public final class ServiceProcess: Sendable {
    /// What to start.
    public struct Options: Sendable {
        /// The program: `encoder-worker`, `embedding-writer`, `event-ingestor`.
        public var program: String
        /// Tells it from its siblings.
        public var instance: String
        /// The message log's address.
        public var log: String
        /// The database's address.
        public var database: String
        /// The folder of the model bundle.
        public var bundle: String
        /// Where its log goes.
        public var folder: String
        /// A member that is not heard of for this long loses its partitions.
        public var sessionTimeout: Duration = .seconds(10)
        /// As `USERLLM_FAILPOINT` has it.
        public var failpoints = ""
        /// As `USERLLM_WITHOUT_PROTECTION` has it.
        public var withoutProtection = ""
        /// Further words of the command line.
        public var further: [String] = []

        /// Makes options.
        public init(
            _ program: String,
            instance: String,
            log: String,
            database: String,
            bundle: String,
            folder: String
        ) {
            self.program = program
            self.instance = instance
            self.log = log
            self.database = database
            self.bundle = bundle
            self.folder = folder
        }
    }

    /// The program and its instance.
    public let name: String
    private let child: ChildProcess
    private let adminClaim: PortClaim
    private let output: String

    private init(name: String, child: ChildProcess, adminClaim: PortClaim, output: String) {
        self.name = name
        self.child = child
        self.adminClaim = adminClaim
        self.output = output
    }

    /// Starts it.
    public static func start(_ options: Options) async throws -> ServiceProcess {
        let adminClaim = try PortClaim()
        var arguments = [
            "--admin-port", "\(adminClaim.port)", "--parent-process", "\(getpid())", "--log-format", "json",
            "--shutdown-deadline", longestWait.configurationText,
        ]
        if options.program != "event-ingestor" {
            arguments += ["--instance", options.instance]
            arguments += ["--session-timeout", options.sessionTimeout.configurationText]
        }
        if ["encoder-worker", "embedding-writer"].contains(options.program) {
            arguments += ["--bundle", options.bundle]
        }
        var environment = ["USERLLM_LOG": options.log]
        if options.program == "embedding-writer" { environment["USERLLM_DATABASE"] = options.database }
        if !options.failpoints.isEmpty { environment["USERLLM_FAILPOINT"] = options.failpoints }
        if !options.withoutProtection.isEmpty { environment["USERLLM_WITHOUT_PROTECTION"] = options.withoutProtection }
        let output = "\(options.folder)/\(options.program)-\(options.instance).log"
        let specification = LocalSystem.specification(
            options.program,
            arguments + options.further,
            environment: environment,
            output: output
        )
        return ServiceProcess(
            name: "\(options.program) \(options.instance)",
            child: try await ChildProcess.start(specification),
            adminClaim: adminClaim,
            output: output
        )
    }

    /// How it ended; nil while it runs.
    public var status: ChildProcess.Status? { child.status }

    /// What it wrote.
    public var printed: String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }

    /// Whether it says that it can do its work.
    public func isReady() async -> Bool {
        let request = HTTPClientRequest("GET", "http://127.0.0.1:\(adminClaim.port)/readyz", timeout: .seconds(2))
        return (try? await HTTPClient().send(request))?.status == 200
    }

    /// Waits until it can do its work.
    public func waitUntilReady(within limit: Duration = longestWait) async throws {
        try await poll("\(name) is ready", within: limit) {
            if let status { throw VerificationError("\(name) ended (\(status)): \(printed.suffix(2_000))") }
            return await isReady()
        }
    }

    /// Waits until it has ended by itself.
    public func waitUntilEnded(within limit: Duration = longestWait) async throws {
        try await poll("\(name) has ended", within: limit) { status != nil }
    }

    /// Waits until it is stopped, as SIGSTOP does.
    public func waitUntilStopped(within limit: Duration = longestWait) async throws {
        try await poll("\(name) is stopped", within: limit) {
            if let status { throw VerificationError("\(name) ended (\(status)): \(printed.suffix(2_000))") }
            return ProcessTable.isStopped(child.id)
        }
    }

    /// Sends a signal, if it still runs.
    public func signal(_ number: Int32) { child.signal(number) }

    /// Asks it to end, and ends it when it has not after a while.
    @discardableResult
    public func stop(patience: Duration = longestWait) async -> ChildProcess.Status {
        await child.stop(patience: patience)
    }
}
