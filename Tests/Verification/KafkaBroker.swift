import Foundation
import Glibc
import Kafka
import ServiceRuntime
public import Streams

/// A real Apache Kafka broker of its own, for as long as a verification takes.
///
/// It is looked for in the folder that `KAFKA_HOME` names, else in `shared/kafka` beside the repository.
public final class KafkaBroker: Sendable {
    private let child: ChildProcess
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

    private init(child: ChildProcess, folder: String, port: Int) {
        self.child = child
        self.folder = folder
        self.port = port
    }

    /// Starts a broker in a folder and waits until it answers.
    public static func start(in folder: String) async throws -> KafkaBroker {
        guard let program else {
            throw VerificationError(
                "there is no Apache Kafka: set KAFKA_HOME to a folder whose program `start` starts a broker "
                    + "(start DATA_FOLDER PORT), or use --log postgres"
            )
        }
        // The broker's controller listens on the next port.
        let port = try LocalPort.free(count: 2)
        let log = "\(folder)/kafka.log"
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: "/usr/bin/setpriv",
                arguments: ["--pdeathsig=KILL", "--", program, "\(folder)/kafka", "\(port)"],
                environment: ProcessInfo.processInfo.environment,
                outputFile: log
            )
        )
        let broker = KafkaBroker(child: child, folder: folder, port: port)
        do {
            let log = try await KafkaLog(address: broker.address, settings: ["connect.timeout.ms": "90000"])
            await log.close()
        } catch {
            await broker.stop()
            let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            throw VerificationError("the broker does not start: \(error)\n\(text.suffix(2_000))")
        }
        return broker
    }

    /// Ends the broker.
    public func stop() async {
        await child.stop(signal: SIGKILL, patience: .seconds(5))
    }
}
