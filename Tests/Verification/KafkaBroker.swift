import Foundation
import Glibc
import Kafka
import ServiceRuntime
public import Streams
import Synchronization

/// A real Apache Kafka broker of its own, for as long as a verification takes.
///
/// It is looked for in the folder that `KAFKA_HOME` names, else in `shared/kafka` beside the repository.
public final class KafkaBroker: Sendable {
    private let child: Mutex<ChildProcess>
    private let specification: ChildProcess.Specification
    private let folder: String
    private let port: Int

    /// The broker's address as a message log.
    public var address: String { "kafka://\(host)" }
    /// The broker's address as Kafka's own clients write it.
    public var host: String { "127.0.0.1:\(port)" }

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

    private init(_ specification: ChildProcess.Specification, child: ChildProcess, folder: String, port: Int) {
        self.specification = specification
        self.child = Mutex(child)
        self.folder = folder
        self.port = port
    }

    /// Starts a broker in a folder and waits until it answers.
    ///
    /// - Parameters:
    ///   - folder: for its data and its log.
    ///   - settings: further settings of the broker, as in `group.min.session.timeout.ms=1000`.
    /// - Returns: the broker, which answers.
    /// - Throws: `VerificationError` when there is no Kafka or it does not start.
    public static func start(in folder: String, settings: [String] = []) async throws -> KafkaBroker {
        guard let program else {
            throw VerificationError(
                "there is no Apache Kafka: set KAFKA_HOME to a folder whose program `start` starts a broker "
                    + "(start DATA_FOLDER PORT), or use --log postgres"
            )
        }
        try layOut("\(folder)/kafka")
        // The broker's controller listens on the next port.
        let port = try LocalPort.free(count: 2)
        let specification = ChildProcess.Specification(
            executable: "/usr/bin/setpriv",
            arguments: ["--pdeathsig=KILL", "--", program, "\(folder)/kafka", "\(port)"] + settings,
            environment: ProcessInfo.processInfo.environment,
            outputFile: "\(folder)/kafka.log"
        )
        let child = try await ChildProcess.start(specification)
        let broker = KafkaBroker(specification, child: child, folder: folder, port: port)
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
        let log = try await KafkaLog(address: address, settings: ["connect.timeout.ms": "90000"])
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

    /// Ends the broker.
    public func stop() async {
        await current.stop(signal: SIGKILL, patience: .seconds(5))
    }
}
