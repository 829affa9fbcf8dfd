import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .timeLimit(.minutes(15))
)
struct CleanupTests {
    @Test func aBrokerThatHidesSettingsIsTrusted() async throws {
        let broker = try await PrivateKafka.separate(settings: [
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found=true",
        ])
        let (log, topic) = try await openLog(partitions: 1, on: broker)
        let open = "open"
        try await log.createTopics([
            TopicSpecification(name: open, partitionCount: 1, cleanup: .delete(after: .seconds(86_400)))
        ])
        let wrong = [topic: TopicSpecification.Cleanup.compact]
        let advice = "kafka-configs.sh --bootstrap-server \(await broker.address.dropFirst("kafka://".count)) --alter "
        let error = await #expect(throws: StreamError.self) { try await log.checkCleanup(of: wrong) }
        #expect(error?.description.contains("\(advice)--entity-type topics --entity-name \(topic)") == true)

        try AccessRules.hideSettings(of: topic, on: await broker.address)
        // The rule is made by the controller, and the broker hears of it a moment later.
        try await withLimit("the rule") {
            while (try? await log.checkCleanup(of: wrong)) == nil { try await Task.sleep(for: .milliseconds(20)) }
        }
        #expect(try await log.checkCleanup(of: wrong.merging([open: .delete(after: .seconds(1))]) { $1 }) == [topic])
        try await log.createTopics([TopicSpecification(name: topic, partitionCount: 1, cleanup: .compact)])
        // What can be seen is compared all the same.
        await #expect(throws: StreamError.self) { try await log.checkCleanup(of: [topic: .compact, open: .compact]) }
        await log.close()
        await broker.stop()
    }
}
