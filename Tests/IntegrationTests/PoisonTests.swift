import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Testing
import Verification

/// More records that are no events than a worker bears.
@Suite(.serialized) struct PoisonTests {
    /// It stops, because that looks like a wrong producer; but each start rejects a batch at least, once and for all, and
    /// what is good among and behind it counts.
    @Test(arguments: FaultStage.logs)
    func aWorkerThatStopsForPoisonGoesOnBehindIt(kafka: Bool) async throws {
        try await FaultStage.run(kafka: kafka) { system in
            let writer = try await system.start("embedding-writer")
            for round in 0..<10 {
                try await system.append(users: 4, rounds: round..<(round + 1))
                let poison = (0..<20).map { index in
                    OutgoingRecord(
                        topic: Topic.userEvents.rawValue,
                        key: Array("poison-\(round)-\(index)".utf8),
                        value: [0xff, UInt8(index)]
                    )
                }
                try await system.log.append(poison)
            }
            var stops = 0
            var worker = try await start(stops, system)
            while try await system.log.lag(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue) > 0 {
                if let status = worker.status {
                    #expect(status == .exited(ExitCode.badInput.rawValue), "\(worker.printed.suffix(1_000))")
                    #expect(worker.printed.contains("--rejected-share"))
                    stops += 1
                    try #require(stops <= 20, "a start made no progress")
                    worker = try await start(stops, system)
                }
                try await Task.sleep(for: .milliseconds(50))
            }
            await worker.stop()
            #expect(stops > 0)
            let last = try await start(stops + 1, system)
            try await system.append(users: 4, rounds: 10..<11)
            try await system.waitUntilDrained(within: longestWait)
            let findings = try await system.check()
            #expect(findings.problems == [])
            #expect(findings.rejected == 200 && findings.applied == 44)
            await last.stop()
            await writer.stop()
        }
    }

    private func start(_ number: Int, _ system: BareSystem) async throws -> ServiceProcess {
        try await system.start("encoder-worker", "\(number)", further: ["--batch-records", "25"])
    }
}
