import Bytes
import Messages
import MessageLogs
import Testing
import Verification

// Within the other protections, so that they do not all start their systems and brokers at once.
extension ProtectionTests {
    /// The protections of a worker's commits on both logs: with each everything is right, without it the check must fail.
    @Suite(.serialized) struct CommitProtectionTests {
        /// The group's offsets are set back, so the worker reads events that are in its state, a record that it rejected
        /// and the deletion of a user.
        @Test(arguments: FaultStage.logs, ["", "replay-guard"])
        func eventsThatAreReadAgainCountOnce(kafka: Bool, without protections: String) async throws {
            try await FaultStage.run(kafka: kafka) { system in
                let writer = try await system.start("embedding-writer")
                let first = try await system.start("encoder-worker", "first")
                try await system.append(users: 6, rounds: 0..<2)
                try await system.log.append([
                    OutgoingRecord(topic: Topic.userEvents.rawValue, partition: 0, key: [80], value: [0xff, 0x00]),
                    OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array("u5".utf8), value: nil),
                ])
                try await system.append(users: 5, rounds: 2..<3)
                try await system.waitUntilDrained()
                await first.stop()
                try await system.rewindEvents()
                let second = try await system.start("encoder-worker", "second", without: protections)
                try await system.append(users: 5, rounds: 3..<4)
                try await system.waitUntilDrained()
                let problems = try await system.problems()
                #expect(problems.isEmpty == protections.isEmpty, "\(problems)")
                #expect(problems.contains { $0.hasPrefix("rows:") } == !protections.isEmpty)
                await second.stop()
                await writer.stop()
            }
        }

        /// The group's offsets are set back, so the worker sends records on again that lie in others' partitions.
        @Test(arguments: FaultStage.logs, ["", "source-guard"])
        func recordsThatAreSentOnAgainCountOnce(kafka: Bool, without protections: String) async throws {
            try await FaultStage.run(kafka: kafka) { system in
                let writer = try await system.start("embedding-writer")
                let first = try await system.start("encoder-worker", "first")
                // The first record of each partition is not read again.
                try await system.append(users: 6, rounds: 0..<1)
                let sentOn = try await system.appendMisplaced(users: 6, rounds: 1..<3)
                try await system.append(users: 6, rounds: 3..<4)
                try await system.waitUntilDrained()
                await first.stop()
                try await system.rewindEvents()
                let second = try await system.start("encoder-worker", "second", without: protections)
                try await system.appendMisplaced(users: 6, rounds: 4..<5)
                try await system.waitUntilDrained()
                let findings = try await system.check()
                #expect(findings.rerouted == sentOn + 6 && findings.resent == sentOn)
                #expect(findings.applied == 30)
                #expect(findings.problems.isEmpty == protections.isEmpty, "\(findings.problems)")
                #expect(findings.problems.contains { $0.hasPrefix("rows:") } == !protections.isEmpty)
                await second.stop()
                await writer.stop()
            }
        }

        /// A worker is killed in the middle of its second commit.
        @Test(arguments: FaultStage.logs, ["", "atomic-commit"])
        func aCommitThatIsCutOffLosesNothing(kafka: Bool, without protections: String) async throws {
            let middle = kafka ? "kafka.after-offsets:kill@2" : "postgres.before-commit:kill-in=1@2"
            try await FaultStage.run(kafka: kafka) { system in
                let first = try await system.start(
                    "encoder-worker",
                    failpoints: protections.isEmpty ? middle : "commit.between-offsets-and-outputs:kill@2",
                    without: protections
                )
                try await system.append(users: 5, rounds: 0..<1)
                try await system.waitUntilDrained(rows: false)
                try await system.append(users: 5, rounds: 1..<3)
                try await first.waitUntilEnded()
                let second = try await system.start("encoder-worker")
                let writer = try await system.start("embedding-writer")
                try await system.append(users: 5, rounds: 3..<4)
                try await system.waitUntilDrained()
                let problems = try await system.problems()
                #expect(problems.isEmpty == protections.isEmpty, "\(problems)")
                #expect(problems.contains { $0.hasPrefix("rows:") } == !protections.isEmpty)
                await second.stop()
                await writer.stop()
            }
        }
    }
}
