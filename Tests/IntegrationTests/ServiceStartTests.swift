import Foundation
import Glibc
import Messages
import ServiceRuntime
import MessageLogs
import Testing
import Verification

/// Starts of single services on stores that are not as they should be, and stops that come before the start is done.
@Suite(.serialized) struct ServiceStartTests {
    @Test(arguments: FaultStage.logs)
    func topicsThatCleanUpInAnotherWayAreRefused(kafka: Bool) async throws {
        var topics = TopicSpecification.system(partitionCount: 2)
        for index in topics.indices {
            switch topics[index].name {
            case Topic.userEvents.rawValue: topics[index].cleanup = .compact
            case Topic.userTimelines.rawValue: topics[index].cleanup = .delete(after: .seconds(60))
            case Topic.userEmbeddings.rejected: topics[index].cleanup = .compact
            default: break
            }
        }
        try await FaultStage.run(kafka: kafka, topics: topics) { system in
            for (program, topic) in [
                ("event-ingestor", Topic.userEvents.rawValue), ("encoder-worker", Topic.userEvents.rawValue),
                ("embedding-writer", Topic.userEmbeddings.rejected),
            ] {
                let process = try await system.start(program)
                try await process.waitUntilEnded()
                #expect(process.status == .exited(ExitCode.configuration.rawValue))
                #expect(process.printed.contains("topic \(topic) has "), "\(process.printed)")
            }
        }
    }

    /// The process waits for a server that takes its connection and says nothing: no service of it runs yet.
    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func aSignalThatComesEarlyEndsTheProcessAsALaterOneWould(number: Int32) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let server = try SilentServer()
        let address = "postgresql://me@127.0.0.1:\(server.port)/nowhere"
        let process = try await ServiceProcess.start(
            ServiceProcess.Options(
                "event-ingestor",
                instance: "0",
                log: address,
                database: address,
                bundle: folder,
                folder: folder
            )
        )
        try await poll("the process is connected") { server.takesConnection() }
        process.signal(number)
        try await process.waitUntilEnded()
        #expect(process.status == .exited(0), "\(process.printed)")
    }

    /// Takes connections and never says anything.
    private final class SilentServer {
        let port: UInt16
        private let listener: Int32
        private var connections: [Int32] = []

        init() throws {
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let listener = socket(AF_INET, kind, 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isListening = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
                }
            }
            guard isListening, listen(listener, 4) == 0 else { throw VerificationError("no port: errno \(errno)") }
            self.listener = listener
            port = UInt16(bigEndian: address.sin_port)
        }

        deinit { for descriptor in connections + [listener] { close(descriptor) } }

        /// Whether somebody has connected since the last question.
        func takesConnection() -> Bool {
            let descriptor = accept(listener, nil, nil)
            if descriptor >= 0 { connections.append(descriptor) }
            return descriptor >= 0
        }
    }
}
