import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .inTurns,
    .timeLimit(.minutes(15))
)
struct KafkaConformanceTests {
    @Test(arguments: LogConformance.Scenario.allCases)
    func doesWhatALogPromises(_ scenario: LogConformance.Scenario) async throws {
        let conformance = LogConformance {
            try await PrivateKafka.shared().openLog()
        }
        try await conformance.run(scenario)
    }
}
