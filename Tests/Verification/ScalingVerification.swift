import Bytes
import LogAddresses
public import Messages
import ServiceRuntime
import Flows
import MessageLogs
import UserModels

/// Changes the number of processes with `userllm scale` while events flow, and compares every row at the end.
public struct ScalingVerification: Sendable {
    /// Another number of processes.
    public struct Step: Sendable {
        /// The flag of `userllm scale`.
        public var flag: String
        /// The new number.
        public var count: Int

        /// Names a step.
        public init(_ flag: String, _ count: Int) {
            self.flag = flag
            self.count = count
        }
    }

    /// What one step did.
    public struct StepResult: Codable, Sendable {
        /// The words of the command.
        public var change: String
        /// How long the command took, in seconds.
        public var secondsUntilDone: Double
        /// From the command's start until all that was sent was dealt with as fast as it came, in seconds.
        public var secondsUntilFlat: Double
        /// The longest time in which no row of any partition was written, in milliseconds.
        public var longestPause: Double
        /// The longest time in which no row of one partition was written, in milliseconds.
        public var longestPauseOfOnePartition: Double
        /// The greatest lag of workers and writers together that was seen, in records.
        public var greatestLag: Int64
    }

    /// What came of it.
    public struct Result: Codable, Sendable {
        /// How many events were sent.
        public var events: Int
        /// Of how many users.
        public var users: Int
        /// How many a second.
        public var eventsPerSecond: Double
        /// Each change.
        public var steps: [StepResult]
        /// The longest time in which no row of any partition was written, in milliseconds, from the first step to the
        /// last event.
        public var longestPause: Double
        /// How often all rows were looked at meanwhile.
        public var looks: Int
        /// Rows that went back; empty when all is right.
        public var wentBack: [String]
        /// How the rows compare.
        public var rows: OfflineRows.Comparison
        /// Whether every row is right, and none ever went back.
        public var isRight: Bool { rows.isRight && wentBack.isEmpty }
    }

    /// The workers 1, 4, 2 and the writers 1, 2, 1 of a system that starts with one of each.
    public static let steps = [
        Step("encoder-workers", 4), Step("embedding-writers", 2), Step("encoder-workers", 2),
        Step("embedding-writers", 1),
    ]

    private let system: LocalSystem
    private let bundle: String
    private let histories: [[Event]]
    private let rate: Int
    private let steps: [Step]
    private let limit: Duration
    private let say: @Sendable (String) -> Void

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - system: a system that has had no events.
    ///   - bundle: the folder of the system's model bundle.
    ///   - histories: the events of each user; the users take turns, and begin anew at the end.
    ///   - rate: events a second; less than the system can do with the fewest processes.
    ///   - steps: the changes, one after the other.
    ///   - limit: how long one step may take until the lag is flat.
    ///   - say: is told what happens.
    public init(
        _ system: LocalSystem,
        bundle: String,
        histories: [[Event]],
        rate: Int,
        steps: [Step] = steps,
        within limit: Duration = .seconds(300),
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.system = system
        self.bundle = bundle
        self.histories = histories
        self.rate = rate
        self.steps = steps
        self.limit = limit
        self.say = say
    }

    /// Runs it.
    public func run() async throws -> Result {
        let state = try system.state()
        let load = EventLoad(histories, rate: rate, length: try ModelBundle.load(bundle).timelineLength)
        let watch = try RowWatch(database: state.database, modelVersion: state.modelVersion)
        let (sent, results) = try await withLog(state.log) { try await run(load, watch, $0) }
        say("\(sent.rows.eventCount) events sent; encoding every history offline to compare")
        return Result(
            events: sent.rows.eventCount,
            users: sent.rows.userCount,
            eventsPerSecond: Double(sent.rows.eventCount) / (sent.duration / .seconds(1)),
            steps: results,
            longestPause: results.map(\.longestPause).max() ?? 0,
            looks: await watch.looks,
            wentBack: await watch.wentBack,
            rows: try await sent.rows.compare(with: state.database, bundle: bundle)
        )
    }

    private func run(
        _ load: EventLoad,
        _ watch: RowWatch,
        _ log: any MessageLog
    ) async throws -> (sent: EventLoad.Sent, steps: [StepResult]) {
        let (stopLoad, stopWatch) = (Shutdown(), Shutdown())
        let client = try system.client()
        return try await withThrowingTaskGroup(of: EventLoad.Sent?.self) { group in
            group.addTask { try await load.run(client, until: stopLoad) }
            group.addTask {
                try await watch.run(until: stopWatch)
                return nil
            }
            defer { group.cancelAll() }
            _ = try await waitUntilFlat(log)
            _ = await watch.takePauses()
            var results: [StepResult] = []
            for step in steps { results.append(try await take(step, watch, log)) }
            stopLoad.request()
            // The last request may still be on its way; what it brings must be in the log before anything is waited for.
            guard case .some(.some(let sent)) = try await group.next() else {
                throw VerificationError("the watch over the rows ended before the load")
            }
            try await Progress(log).waitUntilDrained(within: limit)
            stopWatch.request()
            try await group.waitForAll()
            return (sent, results)
        }
    }

    private func take(_ step: Step, _ watch: RowWatch, _ log: any MessageLog) async throws -> StepResult {
        let change = "--\(step.flag) \(step.count)"
        say("userllm scale \(change)")
        let start = ContinuousClock.now
        let (status, printed) = try await LocalSystem.run([
            "scale", "--data", system.data, "--ready-within", longestWait.configurationText, "--\(step.flag)",
            "\(step.count)",
        ])
        guard status == .exited(0) else { throw VerificationError("userllm scale \(change) (\(status)): \(printed)") }
        let done = ContinuousClock.now
        let (flat, greatest) = try await waitUntilFlat(log)
        // A rebalance may still be on its way when all is flat, and its pause belongs to this step.
        try await Task.sleep(for: .seconds(2))
        let pauses = await watch.takePauses()
        let result = StepResult(
            change: change,
            secondsUntilDone: (done - start) / .seconds(1),
            secondsUntilFlat: (flat - start) / .seconds(1),
            longestPause: pauses.all / .milliseconds(1),
            longestPauseOfOnePartition: pauses.one / .milliseconds(1),
            greatestLag: greatest
        )
        say(
            "\(change): done after \(Int((done - start) / .milliseconds(1))) ms, flat after "
                + "\(Int((flat - start) / .milliseconds(1))) ms, no row for \(Int(result.longestPause)) ms at most, "
                + "of partition \(pauses.partition) for \(Int(result.longestPauseOfOnePartition)) ms"
        )
        return result
    }

    /// Waits until less than two seconds' events are open, four times in a row; a writer tells the log once a second how
    /// far it is.
    ///
    /// - Returns: when it was so for the first time, and the greatest lag on the way.
    private func waitUntilFlat(_ log: any MessageLog) async throws -> (at: ContinuousClock.Instant, greatest: Int64) {
        let bound = Int64(max(200, 2 * rate))
        var streak = 0
        var first = ContinuousClock.now
        var greatest: Int64 = 0
        try await poll("the lag is at most \(bound) records", within: limit, every: .milliseconds(200)) {
            let events = try await log.lag(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue)
            let rows = try await log.lag(group: ConsumerGroup.embeddingWriter, topic: Topic.userEmbeddings.rawValue)
            greatest = max(greatest, events + rows)
            if streak == 0 { first = .now }
            streak = events + rows <= bound ? streak + 1 : 0
            return streak >= 4
        }
        return (first, greatest)
    }
}
