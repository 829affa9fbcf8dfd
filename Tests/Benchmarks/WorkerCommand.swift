import Foundation
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import UserModels
import Verification

/// `benchmarks worker`: events through the encoder worker, beside the encoder's own speed on timelines as it meets them.
enum WorkerCommand {
    private static let eventsKey = ConfigurationKey<Int>(
        "events",
        default: 300_000,
        in: 10_000...100_000_000,
        help: "How many events are in the log when the worker starts"
    )
    private static let argumentsKey = ConfigurationKey<String>(
        "worker-arguments",
        default: "--compute-threads 1",
        help: "Further words of the encoder worker's command line"
    )

    /// The command as the program lists it.
    static let command = Command(
        "worker",
        summary: "Events through the encoder worker, against the encoder alone",
        keys: [eventsKey, argumentsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let events = try StreamStage.events(reader, atMost: try reader.value(of: eventsKey))
        let words = try reader.value(of: argumentsKey).split(separator: " ").map(String.init)
        try await StreamStage.run(reader) { stage in
            try await stage.append(try events.map(StreamStage.record))
            let worker = try await stage.start("encoder-worker", ["--bundle", stage.bundle] + words)
            let before = try await progress(stage, worker)
            try await poll("all events are encoded", within: .seconds(3_600), every: .milliseconds(100)) {
                try await stage.metric("userllm_encoder_worker_records_processed_total", of: worker)
                    >= Double(events.count)
            }
            let after = try await progress(stage, worker)
            let lag = try await stage.log.lag(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue)
            guard lag == 0 else {
                throw ProcessFailure("the worker counted \(events.count) events, but \(lag) are left")
            }
            await worker.child.stop(signal: SIGTERM, patience: .seconds(30))

            let seconds = (after.at - before.at) / .seconds(1)
            let encodings = (after.encodings - before.encodings) / seconds
            let rate = (after.events - before.events) / seconds
            let alone = try encoderSpeed(events, stage.bundle, sharing: rate / encodings)
            var table = BenchmarkTable(
                benchmark: "worker",
                settings: [
                    "log": try reader.value(of: StreamStage.logKey).rawValue, "events": "\(events.count)",
                    "arguments": words.joined(separator: " "),
                ]
            )
            table.rows = [
                .init(
                    "events to embeddings in the log",
                    rate,
                    "events/s",
                    against: ("the encoder alone", alone * rate / encodings)
                ),
                .init("timelines encoded", encodings, "timelines/s", against: ("the encoder alone", alone)),
                .init("events of an encoded timeline", rate / encodings, "events"),
            ]
            try table.show(reader)
        }
    }

    private static func progress(
        _ stage: StreamStage,
        _ worker: StreamStage.RunningService
    ) async throws -> (at: ContinuousClock.Instant, events: Double, encodings: Double) {
        let encodings = try await stage.metric("userllm_encoder_worker_users_encoded_total", of: worker)
        let events = try await stage.metric("userllm_encoder_worker_records_processed_total", of: worker)
        return (.now, events, encodings)
    }

    /// Timelines a second of one thread, over the same timelines: batches of 512 at even distances among all events, for
    /// timelines grow as events come, and a long one takes longer.
    private static func encoderSpeed(_ events: [Event], _ bundle: String, sharing: Double) throws -> Double {
        let bundle = try ModelBundle.load(bundle)
        let engine = try bundle.makeEncodingEngine(threads: 1)
        var timelines: [UserID: [TimelineEvent]] = [:]
        var batch: [[TimelineEvent]] = []
        var time = Duration.zero
        var count = 0
        // One timeline each time about as many events have come as the worker joins in one encoding.
        let step = max(1, Int(sharing.rounded()))
        let stride = max(1, events.count / (512 * step) / 100)
        for (index, event) in events.enumerated() {
            var timeline = timelines[event.user] ?? []
            timeline.append(TimelineEvent(event))
            if timeline.count > bundle.timelineLength { timeline.removeFirst() }
            timelines[event.user] = timeline
            guard index % step == 0, index / (512 * step) % stride == 0 else { continue }
            batch.append(timeline)
            guard batch.count == 512 else { continue }
            if count == 0 { _ = engine.encode(batch) }
            let start = ContinuousClock.now
            _ = engine.encode(batch)
            time += ContinuousClock.now - start
            count += batch.count
            batch.removeAll(keepingCapacity: true)
        }
        guard count > 0 else {
            throw ProcessFailure("too few events to time the encoder alone: give more with --events")
        }
        return Double(count) / (time / .seconds(1))
    }
}
