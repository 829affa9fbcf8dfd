import Foundation
import HTTPClient
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import TestSupport
import Testing
import Verification

/// Crashes at every place of every commit path, one by one, and a short run of everything at once.
///
/// Longer ones: `Deploy/test --faults MINUTES --seed N`.
@Suite(.serialized) struct FaultTests {
    private static let encoderPlaces = ["encoder.after-timelines", "encoder.after-embeddings", "encoder.after-commit"]
    private static let logPlaces = [
        true: ["kafka.after-begin", "kafka.after-records", "kafka.after-offsets", "kafka.after-commit"],
        false: ["postgres.before-commit", "postgres.after-commit"],
    ]

    @Test(arguments: FaultStage.logs)
    func aWorkerMayEndAnywhere(kafka: Bool) async throws {
        let places = Self.encoderPlaces + (Self.logPlaces[kafka] ?? [])
        // In the middle of what the log does for the commit, too.
        let middle = kafka ? "kafka.after-offsets:kill-in=3@2" : "postgres.before-commit:kill-in=1@2"
        try await FaultStage.run(kafka: kafka) { system in
            let writer = try await system.start("embedding-writer")
            try await endAll(places.map { "\($0):kill@2" } + [middle], of: "encoder-worker", in: system)
            let worker = try await system.start("encoder-worker")
            try await system.waitUntilDrained()
            #expect(try await system.problems() == [])
            await worker.stop()
            await writer.stop()
        }
    }

    @Test(arguments: FaultStage.logs)
    func aWriterMayEndAnywhere(kafka: Bool) async throws {
        let failpoints = [
            "writer.before-commit:kill@2", "writer.before-commit:kill-in=1@2", "writer.after-commit:kill@2",
        ]
        try await FaultStage.run(kafka: kafka) { system in
            let worker = try await system.start("encoder-worker")
            try await endAll(failpoints, of: "embedding-writer", in: system)
            let writer = try await system.start("embedding-writer")
            try await system.waitUntilDrained()
            #expect(try await system.problems() == [])
            await writer.stop()
            await worker.stop()
        }
    }

    /// Starts the program with each failpoint in turn, and sends events until it has ended there.
    private func endAll(_ failpoints: [String], of program: String, in system: BareSystem) async throws {
        var round = 0
        for failpoint in failpoints {
            let process = try await system.start(program, failpoints: failpoint, sessionTimeout: .seconds(1))
            try await poll("\(program) ended at \(failpoint)", every: .milliseconds(100)) {
                if process.status != nil { return true }
                try await system.append(users: 5, rounds: round..<(round + 1))
                round += 1
                return false
            }
            #expect(process.status == .signalled(SIGKILL), "\(failpoint): \(process.printed.suffix(500))")
        }
    }

    /// Before and after the append; what was not acknowledged is sent again.
    @Test(arguments: FaultStage.logs, ["ingestor.before-append:kill@2", "ingestor.after-append:kill@2"])
    func anIngestorMayEndBeforeItsReply(kafka: Bool, failpoint: String) async throws {
        try await FaultStage.run(kafka: kafka) { system in
            let claim = try PortClaim()
            defer { withExtendedLifetime(claim) {} }
            let port = claim.port
            var ingestor = try await system.start(
                "event-ingestor",
                failpoints: failpoint,
                further: ["--port", "\(port)"]
            )
            try await ingestor.waitUntilReady()
            let http = HTTPClient()
            for index in 0..<3 {
                let body =
                    #"{"user":"u0","item":"f\#(index)","time":\#(1_700_000_000_000 + index),"event_id":"e\#(index)"}"#
                try await poll("event \(index) is acknowledged") {
                    if ingestor.status != nil {
                        ingestor = try await system.start("event-ingestor", "1", further: ["--port", "\(port)"])
                        try await ingestor.waitUntilReady()
                    }
                    let url = "http://127.0.0.1:\(port)/v1/events"
                    return (try? await http.send(HTTPClientRequest("POST", url, body: Array(body.utf8))))?.status == 202
                }
            }
            #expect(ingestor.name == "event-ingestor 1")
            let worker = try await system.start("encoder-worker")
            let writer = try await system.start("embedding-writer")
            try await system.waitUntilDrained()
            let findings = try await system.check()
            #expect(findings.problems == [])
            // What was taken and not acknowledged is there twice, and counts once.
            #expect(findings.duplicates == (failpoint.hasPrefix("ingestor.before") ? 0 : 1))
            #expect(findings.applied == 3)
            await ingestor.stop()
            await worker.stop()
            await writer.stop()
        }
    }

    @Test(arguments: FaultStage.logs)
    func everythingGoesWrongForAWhile(kafka: Bool) async throws {
        var options = FaultsVerification.Options(overKafka: kafka, duration: .seconds(20), seed: 5)
        options.fillsDisk = false
        let result = try await FaultsVerification(options).run()
        #expect(result.problems == [], "seed \(result.seed), \(result.folder ?? "")")
        #expect(result.faults.values.reduce(0, +) > 5)
        #expect(result.acknowledgedEvents > 500)
        #expect(result.findings.applied > 500)
        #expect(result.looks > 10)
    }
}
