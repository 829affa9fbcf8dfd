import Datasets
import Foundation
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import UserTimelines
import Verification

/// `benchmarks timelines`: the encoder worker's state, alone and restored from both logs.
///
/// Each restore runs in a process of its own, so that its memory is what a worker would take, beside a bare read of the same
/// log in the same process.
enum TimelinesCommand {
    /// Which logs are restored from.
    private enum Logs: String, CaseIterable, ConfigurationValue {
        case both, postgres, kafka, none
    }

    private static let users = ConfigurationKey<Int>(
        "users",
        default: 200_000,
        in: 1...10_000_000,
        help: "Users with a timeline"
    )
    private static let events = ConfigurationKey<Int>(
        "events",
        default: 50,
        in: 1...1_000,
        help: "Events of a timeline"
    )
    private static let partitions = ConfigurationKey<Int>(
        "partitions",
        default: 4,
        in: 1...1_000,
        help: "Partitions of the topics"
    )
    private static let logs = ConfigurationKey<Logs>(
        "log",
        default: .both,
        help: "Which logs to restore from; each is started for the run"
    )
    private static let source = ConfigurationKey<String>(
        "restore-from",
        help: "Only restores from the log at this address, as the command does in a process of its own"
    )

    /// The command as the program lists it.
    static let command = Command(
        "timelines",
        summary: "Measures the encoder worker's state: events/s, bytes a user, users/s restored from each log",
        keys: [users, events, partitions, logs, source, BenchmarkTable.jsonKey]
    ) { context in
        let reader = context.configuration
        let length = try reader.value(of: events)
        if let address = try reader.optionalValue(of: source) {
            let result = try await TimelineRestore.measure(from: address, length: length)
            return print(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
        }
        let count = try reader.value(of: users)
        var table = BenchmarkTable(
            benchmark: "timelines",
            settings: ["users": "\(count)", "events": "\(length)", "partitions": "\(try reader.value(of: partitions))"]
        )
        table.rows += try TimelineStoreSpeed.measure(users: count, length: length)
        let chosen = try reader.value(of: logs)
        for log in [Logs.postgres, .kafka] where chosen == log || chosen == .both {
            let stage = TimelineStage(users: count, length: length, partitions: try reader.value(of: partitions))
            let result = try await stage.run(onKafka: log == .kafka)
            table.rows += result.rows(log == .kafka ? "Kafka" : "PostgreSQL")
        }
        try table.show(reader)
    }
}

/// A log full of timelines, and a process that restores from it.
struct TimelineStage {
    let users: Int
    let length: Int
    let partitions: Int

    /// Starts a log, fills it, restores from it in another process, and takes everything away.
    func run(onKafka: Bool) async throws -> TimelineRestore {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard onKafka else {
            let bundle = "\(folder)/bundle"
            try SmallBundle.write(to: bundle, catalogue: try SyntheticWorld().catalogue)
            var options = LocalSystem.Options(bundle: bundle)
            options.encoderWorkers = 0
            options.embeddingWriters = 0
            options.responders = 0
            options.further = ["--gateways", "0", "--event-ingestors", "0"]
            options.partitions = partitions
            let system = try await LocalSystem.start(options, in: folder)
            return try await closing({ await system.stop() }) {
                try await restored(from: try system.state().log, folder)
            }
        }
        let broker = try await KafkaBroker.start(in: folder)
        return try await closing({ await broker.stop() }) { try await restored(from: broker.address, folder) }
    }

    private func closing<Result>(
        _ close: () async -> Void,
        _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            let result = try await body()
            await close()
            return result
        } catch {
            await close()
            throw error
        }
    }

    private func restored(from address: String, _ folder: String) async throws -> TimelineRestore {
        let log = try await openLog(address)
        try await log.createTopics(TopicSpecification.system(partitionCount: Int32(partitions)))
        let source = TimelineSource()
        for start in stride(from: 0, to: users, by: 2_000) {
            try await log.append(
                (start..<min(start + 2_000, users)).map { number in
                    let timeline = source.timeline(ofUser: number, length: length)
                    return OutgoingRecord(
                        topic: Topic.userTimelines.rawValue,
                        key: Array(timeline.user.utf8),
                        value: try timeline.encoded()
                    )
                }
            )
        }
        await log.close()
        let output = "\(folder)/restore.json"
        let child = try await ChildProcess.start(
            LocalSystem.specification(
                "benchmarks",
                ["timelines", "--restore-from", address, "--events", "\(length)"],
                output: output
            )
        )
        let status = await child.ended()
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        guard status == .exited(0) else { throw VerificationError("the restore ended (\(status)): \(text)") }
        return try JSONDecoder().decode(TimelineRestore.self, from: Data(text.utf8))
    }
}
