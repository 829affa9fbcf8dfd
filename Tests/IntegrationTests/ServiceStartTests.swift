import Messages
import ServiceRuntime
import Streams
import Testing
import Verification

/// Starts of single services on stores that are not as they should be.
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
}
