import Foundation
import Glibc
import Messages
import ServiceRuntime
import MessageLogs
import Verification

/// `benchmarks rerouting`: events through the encoder worker, of which some or all lie in partitions that are not their
/// users', beside the same events where they belong.
enum ReroutingCommand {
    private static let eventsKey = ConfigurationKey<Int>(
        "events",
        default: 100_000,
        in: 10_000...100_000_000,
        help: "How many events are in the log when the worker starts"
    )
    private static let roundsKey = ConfigurationKey<Int>(
        "rounds",
        default: 3,
        in: 1...100,
        help: "How often each share is measured, in turn"
    )
    private static let shares = [0, 50, 100]

    /// The command as the program lists it.
    static let command = Command(
        "rerouting",
        summary: "Events through the encoder worker with none, half and all of them in wrong partitions",
        keys: [eventsKey, roundsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let events = try StreamStage.events(reader, atMost: try reader.value(of: eventsKey))
        var rates: [Int: [Double]] = [:]
        for _ in 0..<(try reader.value(of: roundsKey)) {
            for share in shares { rates[share, default: []].append(try await rate(reader, events, share: share)) }
        }
        var table = BenchmarkTable(
            benchmark: "rerouting",
            settings: ["log": try reader.value(of: StreamStage.logKey).rawValue, "events": "\(events.count)"]
        )
        let none = median(rates[0, default: [0]])
        table.rows = shares.map { share in
            .init(
                "\(share) % in wrong partitions, median",
                median(rates[share, default: [0]]),
                "events/s",
                against: ("none in wrong partitions", none)
            )
        }
        try table.show(reader)
    }

    /// Events a second of a worker that finds them all in the log, from when it is ready until each is in its timeline.
    private static func rate(_ reader: ConfigurationReader, _ events: [Event], share: Int) async throws -> Double {
        let count = Int32(try reader.value(of: StreamStage.partitionsKey))
        let records = try events.enumerated().map { index, event in
            var record = try StreamStage.record(event)
            // Of each hundred records the first so many, spread evenly.
            guard index * share / 100 != (index + 1) * share / 100 else { return record }
            record.partition = (Partitioner.partition(of: record.key ?? [], count: count) + 1) % count
            return record
        }
        return try await StreamStage.run(reader) { stage in
            try await stage.append(records)
            let worker = try await stage.start("encoder-worker", ["--bundle", stage.bundle, "--compute-threads", "1"])
            let (start, before) = (ContinuousClock.now, try await applied(stage, worker))
            try await poll("all events are applied", within: .seconds(3_600), every: .milliseconds(50)) {
                try await applied(stage, worker) >= Double(events.count)
            }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let sentOn = try await stage.metric("userllm_encoder_worker_records_rerouted_total", of: worker)
            await worker.child.stop(signal: SIGTERM, patience: .seconds(30))
            guard Int(sentOn) == records.count(where: { $0.partition != nil }) else {
                throw ProcessFailure("\(Int(sentOn)) records were sent on")
            }
            return (Double(events.count) - before) / seconds
        }
    }

    private static func applied(_ stage: StreamStage, _ worker: StreamStage.RunningService) async throws -> Double {
        // In this order the difference is never too great: each is counted as processed too.
        let processed = try await stage.metric("userllm_encoder_worker_records_processed_total", of: worker)
        return processed - (try await stage.metric("userllm_encoder_worker_records_rerouted_total", of: worker))
    }
}
