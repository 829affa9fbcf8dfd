import Foundation
import Glibc
import ServiceRuntime

/// The processes that make up the system, with all their ports and settings, before the first is started.
struct SystemPlan: Sendable {
    /// One service's process.
    struct Member: Sendable {
        let kind: ServiceKind
        let instance: Int
        /// Its service port and its admin port, which are held as long as it may be restarted.
        let claims: (own: PortClaim?, admin: PortClaim)

        /// Its service port; nil if it has none.
        var port: Int? { claims.own?.port }
        /// The port of its metrics and health pages.
        var adminPort: Int { claims.admin.port }
    }

    let members: [Member]
    private let configuration: SystemConfiguration
    private let programs: Programs
    private let logs: String

    /// Plans the system.
    ///
    /// - Throws: `ProcessFailure` if a program is missing or a port is taken.
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

    /// Plans one more process of a kind, with the lowest number that is free among `members`.
    ///
    /// - Throws: `ProcessFailure` if its port is taken.
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
        let own = try claim(of: kind, instance, beside: members, configuration)
        return Member(kind: kind, instance: instance, claims: (own, try PortClaim()))
    }

    private static func claim(
        of kind: ServiceKind,
        _ instance: Int,
        beside members: [Member],
        _ configuration: SystemConfiguration
    ) throws(ProcessFailure) -> PortClaim? {
        let key: String
        let base: Int
        switch kind {
        case .gateway: (key, base) = ("gateway-port", configuration.gatewayPort)
        case .eventIngestor: (key, base) = ("ingestor-port", configuration.ingestorPort)
        default: return nil
        }
        if base == 0 { return try PortClaim(host: configuration.host) }
        let port = base + instance
        if let other = members.first(where: { $0.port == port }) {
            throw ProcessFailure(
                "port \(port) would be that of \(other.kind.rawValue) \(other.instance) and of "
                    + "\(kind.rawValue) \(instance): set --gateway-port and --ingestor-port further apart",
                exitCode: .configuration
            )
        }
        guard port <= 65_535 else {
            throw ProcessFailure(
                "\(kind.rawValue) \(instance) would have port \(port), and there is none above 65535: "
                    + "name a lower one with --\(key) (0 takes free ones)",
                exitCode: .configuration
            )
        }
        do throws(ProcessFailure) {
            return try PortClaim(port, host: configuration.host)
        } catch {
            throw ProcessFailure(
                "\(error), so \(kind.rawValue) cannot listen there: end the process that has it (ss -ltnp shows it), "
                    + "or name another with --\(key) (0 takes a free one)",
                exitCode: error.exitCode
            )
        }
    }

    /// How to start a member.
    ///
    /// Addresses are passed through the environment: they may contain passwords, and command lines are visible to
    /// everyone.
    func process(_ member: Member, log: String, database: String) -> SupervisedProcess.Plan {
        var arguments = [
            "--admin-port", "\(member.adminPort)", "--parent-process", "\(getpid())", "--log-format", "json",
        ]
        if member.kind != .gateway, member.kind != .eventIngestor { arguments += ["--instance", "\(member.instance)"] }
        if member.kind == .llmResponder { arguments += configuration.responderArguments }
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

    /// The file for a member's output.
    func logFile(of member: Member) -> String {
        "\(logs)/\(member.kind.rawValue)-\(member.instance).log"
    }

    /// The addresses of the members of a kind.
    func addresses(of kind: ServiceKind, among members: [Member]) -> [String] {
        // 0.0.0.0 is an address to listen on, not one to connect to.
        let host = configuration.host == "0.0.0.0" ? "127.0.0.1" : configuration.host
        return members.filter { $0.kind == kind }.compactMap { $0.port.map { "http://\(host):\($0)" } }
    }
}

extension SystemPlan.Member {
    /// Its name for people.
    var label: String { instance == 0 ? kind.rawValue : "\(kind.rawValue) \(instance)" }

    /// Its entry in the state file before it runs.
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
