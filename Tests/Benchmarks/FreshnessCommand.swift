import Foundation
import HTTPClient
import Bytes
import Messages
import PostgresClient
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import Verification

/// `benchmarks freshness`: from an accepted event to its visible row, while half of what the system can sustain flows.
///
/// A backlog is worked off faster than events can be followed as they come: users that take turns have several events
/// in a backlog, which become one encoding, but one each when nothing waits. What can be sustained is therefore the rate
/// at which rows stay within a second of their events.
enum FreshnessCommand {
    private static let secondsKey = ConfigurationKey<Int>(
        "seconds",
        default: 30,
        in: 2...3_600,
        help: "How long events flow at half of the rate"
    )
    private static let eventsKey = ConfigurationKey<Int>(
        "events",
        default: 300_000,
        in: 10_000...10_000_000,
        help: "How many events are worked off first; 300,000 fill the timelines of MovieLens-1M's users"
    )
    private static let pauseKey = ConfigurationKey<Int>(
        "pause",
        default: 30,
        in: 0...3_600,
        help: "Seconds for the log to clean up after the backlog"
    )
    private static let workersKey = ConfigurationKey<Int>(
        "encoder-workers",
        default: 1,
        in: 1...64,
        help: "How many encoder workers"
    )

    /// The command as the program lists it.
    static let command = Command(
        "freshness",
        summary: "From an accepted event to its visible row, at half of the rate that can be sustained",
        keys: [secondsKey, eventsKey, pauseKey, workersKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let length = try reader.value(of: secondsKey)
        let count = try reader.value(of: eventsKey)
        let workers = try reader.value(of: workersKey)
        let events = try StreamStage.events(reader, atMost: 2_000_000)
        try await StreamStage.run(reader) { stage in
            let ingestor = try await stage.start("event-ingestor", servesHTTP: true)
            for instance in 0..<workers {
                _ = try await stage.start("encoder-worker", ["--bundle", stage.bundle, "--instance", "\(instance)"])
            }
            _ = try await stage.start("embedding-writer")
            let load = Load(events, url: "http://127.0.0.1:\(ingestor.port)/v1/events")
            // The first rounds warm everything up.
            try await load.send(5_000)
            try await Progress(stage.log).waitUntilDrained(within: .seconds(600))
            let time = try await seconds {
                try await load.send(count)
                try await Progress(stage.log).waitUntilDrained(within: .seconds(3_600))
            }
            let backlog = Double(count) / time
            // Logs clean up after a backlog with a delay; that belongs to the backlog.
            try await Task.sleep(for: .seconds(try reader.value(of: pauseKey)))
            let sustained = try await sustainedRate(below: backlog, load, stage)
            let latencies = try await latencies(at: sustained / 2, load, stage, seconds: length)
            var table = BenchmarkTable(
                benchmark: "freshness",
                settings: [
                    "log": try reader.value(of: StreamStage.logKey).rawValue, "encoder workers": "\(workers)",
                    "seconds": "\(length)",
                ]
            )
            table.rows = [
                .init("a backlog, users taking turns, events over HTTP to rows", backlog, "events/s"),
                .init("sustained, rows within a second of their events", sustained, "events/s"),
                .init("events accepted at half of it", latencies.rate, "events/s"),
                .init("event accepted to row visible, p50", latencies.latencies.p50, "ms"),
                .init("event accepted to row visible, p99", latencies.latencies.p99, "ms"),
                .init("probes", Double(latencies.latencies.count), ""),
            ]
            try table.show(reader)
        }
    }

    /// The highest rate, to a sixteenth, at which no more than a second's events wait after some seconds.
    private static func sustainedRate(
        below limit: Double,
        _ load: Load,
        _ stage: StreamStage
    ) async throws -> Double {
        var (low, high) = (0.0, limit)
        for _ in 0..<4 {
            let rate = (low + high) / 2
            let probed = try await latencies(at: rate, load, stage, seconds: 6)
            let waiting = try await stage.log.lag(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue)
            if probed.rate > 0.95 * rate, Double(waiting) <= rate, probed.latencies.p50 < 1_000 {
                low = rate
            } else {
                high = rate
            }
            try await Progress(stage.log).waitUntilDrained(within: .seconds(600))
        }
        guard low > 0 else { throw VerificationError("no rate down to \(Int(high)) events/s can be sustained") }
        return low
    }

    /// Lets events flow at a rate and follows one of a user of its own at a time.
    private static func latencies(
        at rate: Double,
        _ load: Load,
        _ stage: StreamStage,
        seconds length: Int
    ) async throws -> (rate: Double, latencies: Latencies) {
        let end = ContinuousClock.now + .seconds(length)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                var sent = 0
                let start = ContinuousClock.now
                // A request each 10 ms.
                let size = max(1, Int(rate / 100))
                while ContinuousClock.now < end {
                    try await load.send(size)
                    sent += size
                    try await Task.sleep(until: start + .seconds(Double(sent) / rate), clock: .continuous)
                }
                return sent
            }
            let durations = try await probe(load, stage, until: end)
            let sent = try await group.next() ?? 0
            return (Double(sent) / Double(length), Latencies(durations))
        }
    }

    private static func probe(
        _ load: Load,
        _ stage: StreamStage,
        until end: ContinuousClock.Instant
    ) async throws -> [Duration] {
        let table = try await EmbeddingTable(database: stage.state.database)
        var durations: [Duration] = []
        while ContinuousClock.now < end {
            let user = UserID("probe-\(load.takeNumber())")
            try await load.send([load.event(of: user)])
            let accepted = ContinuousClock.now
            try await poll("\(user) has a row", within: .seconds(60), every: .milliseconds(1)) {
                try await table.row(user: user, modelVersion: stage.state.modelVersion) != nil
            }
            durations.append(ContinuousClock.now - accepted)
            try await Task.sleep(for: .milliseconds(20))
        }
        await table.close()
        return durations
    }

    /// Sends the events of a data set over HTTP, one part after the other.
    private final class Load: Sendable {
        private let events: [Event]
        private let url: String
        private let http = HTTPClient()
        private let next = Mutex(0)
        private let lastNumber = Mutex(0)

        init(_ events: [Event], url: String) {
            self.events = events
            self.url = url
        }

        /// Another number each time.
        func takeNumber() -> Int {
            lastNumber.withLock { number in
                number += 1
                return number
            }
        }

        /// An event of some user.
        func event(of user: UserID) -> Event {
            var event = events[0]
            event.user = user
            return event
        }

        /// Sends the next events, up to a thousand a request, four requests at a time.
        func send(_ count: Int) async throws {
            let start = next.withLock { next in
                next += count
                return next - count
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                var isUnderWay = 0
                for first in stride(from: start, to: start + count, by: 1_000) {
                    if isUnderWay == 4 { try await group.next() } else { isUnderWay += 1 }
                    let indices = first..<min(first + 1_000, start + count)
                    group.addTask { try await self.send(indices.map { self.events[$0 % self.events.count] }) }
                }
                try await group.waitForAll()
            }
        }

        func send(_ events: [Event]) async throws {
            var body: [UInt8] = []
            for event in events { body += try event.encodedJSON() + [UInt8(ascii: "\n")] }
            let request = HTTPClientRequest(
                "POST",
                url,
                headers: [("content-type", "application/x-ndjson")],
                body: body,
                timeout: .seconds(30)
            )
            let response = try await http.send(request)
            guard response.status == 202 else { throw VerificationError("\(response.status): \(response.text)") }
        }
    }
}
