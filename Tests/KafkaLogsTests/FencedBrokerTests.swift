import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

@Suite(.enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"))
struct FencedBrokerTests {
    /// This broker's heartbeats are further apart than its controller waits for them, so that it is fenced most of the time.
    @Test func topicsAreCreatedByABrokerThatIsFencedNowAndThen() async throws {
        let broker = try await PrivateKafka.separate(settings: [
            "broker.session.timeout.ms=500", "broker.heartbeat.interval.ms=1500",
        ])
        for _ in 0..<8 {
            let (log, topic) = try await openLog(partitions: 1, on: broker)
            #expect(try await log.partitionCount(of: topic) == 1)
            await log.close()
        }
    }
}
