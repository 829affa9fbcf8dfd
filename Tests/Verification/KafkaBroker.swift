import Foundation
import Glibc
import KafkaLogs
import ServiceRuntime
public import MessageLogs
import Synchronization
public import TCPProxy

/// A real Apache Kafka broker of its own, for as long as a verification takes.
///
/// It is looked for in the folder that `KAFKA_HOME` names, else in `shared/kafka` beside the repository.
public final class KafkaBroker: Sendable {
    private let child: Mutex<ChildProcess>
    private let specification: ChildProcess.Specification
    private let folder: String
    /// The broker's own port, its controller's, and that of those behind the proxy; held so that a broker that died finds
    /// them again.
    private let ports: [PortClaim]
    private var port: Int { ports[0].port }

    /// The proxy that it was started with.
    public let link: TCPProxy?
    /// The broker's address as a message log.
    public var address: String { "kafka://\(host)" }
    /// The broker's address as Kafka's own clients write it.
    public var host: String { "127.0.0.1:\(port)" }

    /// The broker's address through its proxy.
    public var linkedAddress: String? { link.map { "kafka://127.0.0.1:\($0.port)" } }

    /// Opens the broker as a message log.
    public func open() async throws -> any MessageLog { try await KafkaLog(address: address) }

    /// The program that starts a broker; nil when there is none.
    public static var program: String? {
        let home = ProcessInfo.processInfo.environment["KAFKA_HOME"] ?? ""
        // Tests/Verification/KafkaBroker.swift is three levels below the repository's root.
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let program = home.isEmpty ? root.deletingLastPathComponent().path + "/shared/kafka/start" : home + "/start"
        return FileManager.default.isExecutableFile(atPath: program) ? program : nil
    }

    private init(
        _ specification: ChildProcess.Specification,
        child: ChildProcess,
        folder: String,
        ports: [PortClaim],
        link: TCPProxy?
    ) {
        self.specification = specification
        self.child = Mutex(child)
        self.folder = folder
        self.ports = ports
        self.link = link
    }

    /// Starts a broker in a folder and waits until it answers.
    ///
    /// - Parameters:
    ///   - folder: for its data and its log.
    ///   - settings: further settings of the broker, as in `group.min.session.timeout.ms=1000`.
    ///   - isLinked: whether it has a proxy: who comes through it is told its address for everything else too.
    /// - Returns: the broker, which answers.
    /// - Throws: `VerificationError` when there is no Kafka or it does not start.
    public static func start(
        in folder: String,
        settings: [String] = [],
        isLinked: Bool = false
    ) async throws -> KafkaBroker {
        guard let program else {
            throw VerificationError(
                "there is no Apache Kafka: set KAFKA_HOME to a folder whose program `start` starts a broker "
                    + "(start DATA_FOLDER PORT), or use --log postgres"
            )
        }
        try layOut("\(folder)/kafka")
        let ports = [try PortClaim(), try PortClaim(), try PortClaim()]
        let link = isLinked ? try TCPProxy(to: .port(UInt16(ports[2].port))) : nil
        let listeners = listeners(ports.map(\.port), link: link?.port)
        let specification = ChildProcess.Specification(
            executable: "/usr/bin/setpriv",
            arguments: ["--pdeathsig=KILL", "--", program, "\(folder)/kafka", "\(ports[0].port)"] + listeners
                + settings,
            environment: ProcessInfo.processInfo.environment,
            outputFile: "\(folder)/kafka.log"
        )
        let child = try await ChildProcess.start(specification)
        let broker = KafkaBroker(
            specification,
            child: child,
            folder: folder,
            ports: ports,
            link: link
        )
        do {
            try await broker.waitUntilReady()
        } catch {
            await broker.stop()
            let text = (try? String(contentsOfFile: "\(folder)/kafka.log", encoding: .utf8)) ?? ""
            throw VerificationError("the broker does not start: \(error)\n\(text.suffix(2_000))")
        }
        remember("\(folder)/kafka")
        return broker
    }

    /// Settings of the ports, with a listener of its own for those who come through a proxy.
    private static func listeners(_ ports: [Int], link: UInt16?) -> [String] {
        let quorum = "controller.quorum.voters=1@127.0.0.1:\(ports[1])"
        let plain = "PLAINTEXT://127.0.0.1:\(ports[0])"
        let controller = "CONTROLLER://127.0.0.1:\(ports[1])"
        guard let link else { return ["listeners=\(plain),\(controller)", quorum] }
        return [
            "listeners=\(plain),LINK://127.0.0.1:\(ports[2]),\(controller)", quorum,
            "advertised.listeners=\(plain),LINK://127.0.0.1:\(link)",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LINK:PLAINTEXT,CONTROLLER:PLAINTEXT",
        ]
    }

    /// What formatting left in the folder of this process's first broker, by name.
    ///
    /// A folder that has these files already is not formatted again, which would take a Java machine of its own.
    private static let format = Mutex<[String: Data]>([:])
    private static let formatNames = ["meta.properties", "bootstrap.checkpoint"]

    private static func layOut(_ folder: String) throws {
        let files = format.withLock { $0 }
        guard !files.isEmpty, !FileManager.default.fileExists(atPath: folder) else { return }
        try FileManager.default.createDirectory(atPath: "\(folder)/logs", withIntermediateDirectories: true)
        for (name, content) in files { try content.write(to: URL(filePath: "\(folder)/logs/\(name)")) }
    }

    private static func remember(_ folder: String) {
        let files = formatNames.compactMap { name in
            FileManager.default.contents(atPath: "\(folder)/logs/\(name)").map { (name, $0) }
        }
        guard files.count == formatNames.count else { return }
        format.withLock { $0 = Dictionary(uniqueKeysWithValues: files) }
    }

    private var current: ChildProcess { child.withLock { $0 } }

    /// Waits until it answers.
    public func waitUntilReady() async throws {
        let log = try await KafkaLog(address: address, settings: ["connect.timeout.ms": "600000"])
        await log.close()
    }

    /// Ends the broker as a crash would.
    public func kill() async {
        current.signal(SIGKILL)
        await current.ended()
    }

    /// Starts a broker that has ended again, on its data.
    public func startAgain() async throws {
        guard current.status != nil else { return }
        let next = try await ChildProcess.start(specification)
        child.withLock { $0 = next }
    }

    /// Sends a signal, such as SIGSTOP.
    public func signal(_ number: Int32) { current.signal(number) }

    /// Where it keeps its topics.
    var topicFolder: String { "\(folder)/kafka/logs" }

    /// Partitions of the groups' offsets in which the broker took up its work before it had loaded them, as it noticed.
    ///
    /// Kafka 4.3.1 does so when it is led anew in the partition meanwhile; what it then tells of offsets may be old.
    var offsetPartitionsTakenUpTooEarly: Set<Int32> {
        let log = (try? String(contentsOfFile: "\(folder)/kafka.log", encoding: .utf8)) ?? ""
        let places = log.matches(of: /coordinator __consumer_offsets-(\d+) is out of sync/).compactMap { Int32($0.1) }
        return Set(places)
    }

    /// Ends the broker, and its proxy.
    public func stop() async {
        link?.close()
        await current.stop(signal: SIGKILL, patience: .seconds(5))
    }
}
