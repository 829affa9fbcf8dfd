import Foundation
import Glibc
import ServiceRuntime

/// Which processes make up the system, with all their ports and settings, before the first is started.
struct SystemPlan: Sendable {
    /// One service's process.
    struct Member: Sendable {
        let kind: ServiceKind
        let instance: Int
        /// The port it serves; nil when it serves none.
        let port: Int?
        let adminPort: Int
    }

    let members: [Member]
    private let configuration: SystemConfiguration
    private let programs: Programs
    private let logs: String

    /// Plans the system.
    ///
    /// - Throws: `ProcessFailure` when a program is missing or a port is taken.
    init(_ configuration: SystemConfiguration, logs: String) throws {
        self.configuration = configuration
        self.logs = logs
        programs = try Programs(ServiceKind.allCases.map(\.rawValue))
        var members: [Member] = []
        for kind in ServiceKind.allCases {
            for instance in 0..<(configuration.counts[kind] ?? 0) {
                members.append(try Self.member(kind, instance, beside: members, configuration))
            }
        }
        self.members = members
    }

    /// Plans one process more of a kind, with the lowest number that is free among `members`.
    ///
    /// - Throws: `ProcessFailure` when its port is taken.
    func another(_ kind: ServiceKind, beside members: [Member]) throws -> Member {
        let taken = Set(members.filter { $0.kind == kind }.map(\.instance))
        var instance = 0
        while taken.contains(instance) { instance += 1 }
        return try Self.member(kind, instance, beside: members, configuration)
    }

    private static func member(
        _ kind: ServiceKind,
        _ instance: Int,
        beside members: [Member],
        _ configuration: SystemConfiguration
    ) throws -> Member {
        let port = try port(of: kind, instance: instance, configuration)
        if let port, let other = members.first(where: { $0.port == port }) {
            throw ProcessFailure(
                "port \(port) would be that of \(other.kind.rawValue) \(other.instance) and of "
                    + "\(kind.rawValue) \(instance): set --gateway-port and --ingestor-port further apart",
                exitCode: .configuration
            )
        }
        return Member(kind: kind, instance: instance, port: port, adminPort: try LocalPort.free())
    }

    private static func port(
        of kind: ServiceKind,
        instance: Int,
        _ configuration: SystemConfiguration
    ) throws(ProcessFailure) -> Int? {
        let key: String
        let base: Int
        switch kind {
        case .gateway: (key, base) = ("gateway-port", configuration.gatewayPort)
        case .eventIngestor: (key, base) = ("ingestor-port", configuration.ingestorPort)
        default: return nil
        }
        if base == 0 { return try LocalPort.free(host: configuration.host) }
        let port = base + instance
        guard port <= 65_535, LocalPort.isFree(port, host: configuration.host) else {
            throw ProcessFailure(
                "port \(port) of \(configuration.host), for \(kind.rawValue), is taken or cannot be used: "
                    + "end the process that has it (ss -ltnp shows it), or name another with --\(key) (0 takes a free one)",
                exitCode: .unavailable
            )
        }
        return port
    }

    /// How to start a member.
    ///
    /// Addresses go through the environment: they may hold passwords, and command lines can be seen by everybody.
    func process(_ member: Member, log: String, database: String) -> SupervisedProcess.Plan {
        var arguments = [
            "--admin-port", "\(member.adminPort)", "--parent-process", "\(getpid())", "--log-format", "json",
        ]
        if member.kind != .gateway, member.kind != .eventIngestor { arguments += ["--instance", "\(member.instance)"] }
        if member.kind.needsBundle { arguments += ["--bundle", configuration.bundle] }
        if let port = member.port { arguments += ["--host", configuration.host, "--port", "\(port)"] }
        if let hosts = configuration.allowedHosts { arguments += ["--allowed-hosts", hosts] }
        var environment = ProcessInfo.processInfo.environment.filter { name, _ in
            !name.hasPrefix("USERLLM_") || name == "USERLLM_LOG_LEVEL"
        }
        environment["USERLLM_LOG"] = log
        if member.kind.needsDatabase { environment["USERLLM_DATABASE"] = database }
        return SupervisedProcess.Plan(
            name: member.kind.rawValue,
            instance: member.instance,
            specification: ChildProcess.Specification(
                executable: programs.path(member.kind.rawValue),
                arguments: arguments,
                environment: environment,
                outputFile: logFile(of: member)
            )
        )
    }

    /// Where a member's output goes.
    func logFile(of member: Member) -> String {
        "\(logs)/\(member.kind.rawValue)-\(member.instance).log"
    }

    /// The addresses of the members of a kind.
    func addresses(of kind: ServiceKind, among members: [Member]) -> [String] {
        // 0.0.0.0 is where to listen, not where to call.
        let host = configuration.host == "0.0.0.0" ? "127.0.0.1" : configuration.host
        return members.filter { $0.kind == kind }.compactMap { $0.port.map { "http://\(host):\($0)" } }
    }
}

extension SystemPlan.Member {
    /// As people call it.
    var label: String { instance == 0 ? kind.rawValue : "\(kind.rawValue) \(instance)" }

    /// What is written down of it before it runs.
    var state: SystemState.Process {
        SystemState.Process(
            name: kind.rawValue,
            instance: instance,
            pid: 0,
            port: port,
            adminPort: adminPort,
            restarts: 0
        )
    }
}
