import Foundation
import Glibc
import Messages
import ServiceRuntime
import MessageLogs
import TestSupport
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
        let address = "postgresql://me@127.0.0.1:\(server.port)/nowhere?connect_timeout=600"
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
}
