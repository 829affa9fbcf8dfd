import Foundation
import ServiceRuntime
import MessageLogs
import Verification

/// `benchmarks append`: records appended to Kafka by our wrapper and by librdkafka from C, in turn on one broker.
enum AppendCommand {
    private static let countKey = ConfigurationKey<Int>(
        "records",
        default: 1_000_000,
        in: 1...100_000_000,
        help: "Records of a round"
    )
    private static let sizeKey = ConfigurationKey<Int>(
        "size",
        default: 100,
        in: 1...1_000_000,
        unit: "bytes",
        help: "Bytes of a record's value"
    )
    private static let roundsKey = ConfigurationKey<Int>("rounds", default: 5, in: 1...100, help: "Rounds of each")

    /// The command as the program lists it.
    static let command = Command(
        "append",
        summary: "Appends records to Kafka, ours and librdkafka from C in turn",
        keys: [countKey, sizeKey, roundsKey, BenchmarkTable.jsonKey]
    ) { context in
        let reader = context.configuration
        let count = try reader.value(of: countKey)
        let size = try reader.value(of: sizeKey)
        let rounds = try reader.value(of: roundsKey)
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let broker = try await KafkaBroker.start(in: folder)
        do {
            let rates = try await measure(broker, count, size, rounds, folder)
            await broker.stop()
            var table = BenchmarkTable(
                benchmark: "append",
                settings: ["records": "\(count)", "bytes": "\(size)", "rounds": "\(rounds)", "acks": "all"]
            )
            let peer = ("librdkafka from C", median(rates.map(\.peer)))
            table.rows.append(.init("records to Kafka, median", median(rates.map(\.ours)), "records/s", against: peer))
            let ratio = median(rates.map { $0.ours / $0.peer })
            table.rows.append(.init("ratio of neighbouring rounds, median", ratio, ""))
            try table.show(reader)
        } catch {
            await broker.stop()
            throw error
        }
    }

    private static func measure(
        _ broker: KafkaBroker,
        _ count: Int,
        _ size: Int,
        _ rounds: Int,
        _ folder: String
    ) async throws -> [(ours: Double, peer: Double)] {
        let log = try await broker.open()
        let topics = (0...rounds).flatMap { ["ours-\($0)", "peer-\($0)"] }
        try await log.createTopics(
            topics.map { TopicSpecification(name: $0, partitionCount: 8, cleanup: .delete(after: .seconds(3_600))) }
        )
        var rates: [(ours: Double, peer: Double)] = []
        for round in 0...rounds {
            let ours = try await append(log, "ours-\(round)", count, size)
            let peer = try await peer(broker, "peer-\(round)", count, size, folder)
            // The first round warms the broker up.
            if round > 0 { rates.append((Double(count) / ours, Double(count) / peer)) }
        }
        await log.close()
        return rates
    }

    /// Seconds until the last record is acknowledged; eight callers with 10,000 records each at a time, about as many as
    /// the peer has under way.
    private static func append(_ log: any MessageLog, _ topic: String, _ count: Int, _ size: Int) async throws -> Double
    {
        try await log.append([OutgoingRecord(topic: topic, key: [48], value: [48])])
        return try await seconds {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<8 {
                    group.addTask {
                        for start in stride(from: caller * 10_000, to: count, by: 80_000) {
                            try await log.append(records(topic, start..<min(start + 10_000, count), size))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    private static func records(_ topic: String, _ range: Range<Int>, _ size: Int) -> [OutgoingRecord] {
        range.map { index in
            let key = Array("u\(index % 5_000)".utf8)
            var value = [UInt8](repeating: UInt8(ascii: "x"), count: size)
            for (place, byte) in key.prefix(size).enumerated() { value[place] = byte }
            return OutgoingRecord(topic: topic, key: key, value: value)
        }
    }

    private static func peer(
        _ broker: KafkaBroker,
        _ topic: String,
        _ count: Int,
        _ size: Int,
        _ folder: String
    ) async throws -> Double {
        let output = "\(folder)/\(topic).txt"
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: "\(LocalSystem.programs)/kafka-append-peer",
                arguments: [broker.host, topic, "\(count)", "\(size)"],
                environment: ProcessInfo.processInfo.environment,
                outputFile: output
            )
        )
        let status = await child.ended()
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        guard status == .exited(0), let line = text.split(separator: "\n").last, let seconds = Double(line) else {
            throw VerificationError("kafka-append-peer: \(status), \(text)")
        }
        return seconds
    }
}
