import Foundation
import Bytes
import Messages
import ServiceRuntime
import MessageLogs
import Verification

/// `benchmarks ingestion`: events over HTTP until they are durable, in batches and one a request, with `wrk` as the client.
///
/// The server alone is the same process answering bodies of the same length that hold no event: an array with nothing in
/// it but spaces. So what the log, the reading of the event and its encoding cost is all in the ratio.
enum IngestionCommand {
    private static let secondsKey = ConfigurationKey<Int>("seconds", default: 10, in: 1...3_600, help: "Of each round")
    private static let roundsKey = ConfigurationKey<Int>("rounds", default: 3, in: 1...100, help: "Rounds of each")

    /// What `ingestion.lua` prints.
    private struct Report: Decodable {
        var requests: Double
        var seconds: Double
        var failures: Int
        var p50: Double
        var p99: Double
        var rate: Double { requests / seconds }
    }

    /// The command as the program lists it.
    static let command = Command(
        "ingestion",
        summary: "Sends events over HTTP, in batches of 1,000 and one a request",
        keys: [secondsKey, roundsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        guard let wrk = ["/usr/bin/wrk", "/usr/local/bin/wrk"].first(where: FileManager.default.isExecutableFile) else {
            throw ProcessFailure("there is no wrk: apt-get install wrk", exitCode: .unavailable)
        }
        let length = try reader.value(of: secondsKey)
        let rounds = try reader.value(of: roundsKey)
        let events = try StreamStage.events(reader, atMost: 200_000)
        try await StreamStage.run(reader) { stage in
            let lines = try events.map { try $0.encodedJSON() + [UInt8(ascii: "\n")] }
            let batches = try write(
                stride(from: 0, to: 100_000, by: 1_000).map { lines[$0..<$0 + 1_000].flatMap(\.self) },
                to: "\(stage.folder)/batches"
            )
            let singles = try write((0..<5_000).map { lines[$0 * 40 % lines.count] }, to: "\(stage.folder)/singles")
            let nothing = try write(
                [[UInt8(ascii: "[")] + [UInt8](repeating: 32, count: lines[0].count - 2) + [UInt8(ascii: "]")]],
                to: "\(stage.folder)/nothing"
            )
            let ingestor = try await stage.start("event-ingestor", servesHTTP: true)
            func load(_ bodies: (folder: String, count: Int), connections: Int) async throws -> Report {
                try await run(wrk, stage, ingestor.port, bodies, connections: connections, seconds: length)
            }
            var batch: [Report] = []
            var single: [Report] = []
            var alone: [Report] = []
            for _ in 0..<rounds {
                batch.append(try await load(batches, connections: 8))
                single.append(try await load(singles, connections: 64))
                alone.append(try await load(nothing, connections: 64))
            }
            await ingestor.child.stop(signal: SIGTERM, patience: .seconds(20))
            var table = BenchmarkTable(
                benchmark: "ingestion",
                settings: [
                    "log": try reader.value(of: StreamStage.logKey).rawValue, "rounds": "\(rounds) of \(length) s",
                ]
            )
            let failures = (batch + single + alone).reduce(0) { $0 + $1.failures }
            guard failures == 0 else { throw ProcessFailure("\(failures) requests failed") }
            table.rows = [
                .init("NDJSON, 1,000 events a request", 1_000 * median(batch.map(\.rate)), "events/s"),
                .init(
                    "one event a request, 64 connections",
                    median(single.map(\.rate)),
                    "requests/s",
                    against: ("the server alone", median(alone.map(\.rate)))
                ),
                .init("one event a request, p50", median(single.map(\.p50)), "ms"),
                .init("one event a request, p99", median(single.map(\.p99)), "ms"),
            ]
            try table.show(reader)
        }
    }

    private static func write(_ bodies: [[UInt8]], to folder: String) throws -> (folder: String, count: Int) {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (index, body) in bodies.enumerated() {
            try Data(body).write(to: URL(fileURLWithPath: "\(folder)/\(index)"))
        }
        return (folder, bodies.count)
    }

    private static func run(
        _ wrk: String,
        _ stage: StreamStage,
        _ port: Int,
        _ bodies: (folder: String, count: Int),
        connections: Int,
        seconds: Int
    ) async throws -> Report {
        let output = "\(stage.folder)/wrk-\(UUID().uuidString)"
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/ingestion.lua"
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: wrk,
                arguments: [
                    "-t1", "-c\(connections)", "-d\(seconds)s", "--timeout", "10s", "-s", script,
                    "http://127.0.0.1:\(port)/v1/events", "--", bodies.folder, "\(bodies.count)",
                ],
                environment: ProcessInfo.processInfo.environment,
                outputFile: output
            )
        )
        let status = await child.ended()
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        guard status == .exited(0), let line = text.split(separator: "\n").last(where: { $0.hasPrefix("{") }) else {
            throw VerificationError("wrk: \(status), \(text)")
        }
        return try JSONDecoder().decode(Report.self, from: Data(line.utf8))
    }
}
