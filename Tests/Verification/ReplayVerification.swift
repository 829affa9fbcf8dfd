import Foundation
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import UserModels

/// Sends a whole data set through a running system, with or without crashes on the way, and compares every row.
public struct ReplayVerification: Sendable {
    /// What came of it.
    public struct Result: Codable, Sendable {
        /// What was sent.
        public var source: String
        /// How many events.
        public var events: Int
        /// Processes that were ended with `kill -9` on the way, in order.
        public var killed: [String]
        /// From the start of the import until every row was written, in seconds.
        public var seconds: Double
        /// Events per second over all of it.
        public var eventsPerSecond: Double
        /// How the rows compare.
        public var rows: OfflineRows.Comparison
        /// Rows as a share of what each must be.
        public var isRight: Bool { rows.isRight }
    }

    private let system: LocalSystem
    private let source: EventSource
    private let bundle: String
    private let order: String
    private let kills: [String]
    private let limit: Duration
    private let say: @Sendable (String) -> Void

    /// Prepares a replay.
    ///
    /// - Parameters:
    ///   - system: a system that has had no events.
    ///   - source: the events.
    ///   - bundle: the folder of the system's model bundle.
    ///   - order: `time`, `file` or `interleaved`, as `event-ingestor import` has them.
    ///   - kills: services to end with `kill -9`, one after the other, evenly over the events.
    ///   - limit: how long it may take.
    ///   - say: is told what happens.
    public init(
        _ system: LocalSystem,
        _ source: EventSource,
        bundle: String,
        order: String = "file",
        kills: [String] = [],
        within limit: Duration = .seconds(7_200),
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.system = system
        self.source = source
        self.bundle = bundle
        self.order = order
        self.kills = kills
        self.limit = limit
        self.say = say
    }

    /// Runs it.
    public func run() async throws -> Result {
        let length = try ModelBundle.load(bundle).timelineLength
        let expected = try source.offlineRows(length: length, order: order)
        let state = try system.state()
        let log = try await openLog(state.log)
        do {
            let start = ContinuousClock.now
            let killed = try await importAndKill(expected.eventCount, state, log)
            try await Progress(log).waitUntilDrained(within: limit)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            await log.close()
            say("\(expected.eventCount) events in \(Int(seconds)) s; encoding every history offline to compare")
            let comparison = try await expected.compare(with: state.database, bundle: bundle)
            return Result(
                source: source.label,
                events: expected.eventCount,
                killed: killed,
                seconds: seconds,
                eventsPerSecond: Double(expected.eventCount) / seconds,
                rows: comparison
            )
        } catch {
            await log.close()
            throw error
        }
    }

    private func importAndKill(_ count: Int, _ state: SystemFiles, _ log: any MessageLog) async throws -> [String] {
        try await withThrowingTaskGroup(of: [String].self) { group in
            group.addTask {
                try await importAll(state)
                return []
            }
            group.addTask { try await kill(over: count, log) }
            var killed: [String] = []
            for try await some in group { killed += some }
            return killed
        }
    }

    private func importAll(_ state: SystemFiles) async throws {
        let output = "\(system.data)/import.log"
        let arguments = [
            "import", source.path, "--format", source.format, "--order", order, "--state",
            "\(system.data)/import.state",
        ]
        let specification = LocalSystem.specification(
            "event-ingestor",
            arguments,
            environment: ["USERLLM_LOG": state.log],
            output: output
        )
        let status = try await ChildProcess.start(specification).ended()
        guard status == .exited(0) else {
            let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
            throw VerificationError("event-ingestor import ended (\(status)): \(text.suffix(2_000))")
        }
        say("imported")
    }

    /// Ends each service once, when its share of the events is through.
    private func kill(over count: Int, _ log: any MessageLog) async throws -> [String] {
        var killed: [String] = []
        let progress = Progress(log)
        for (index, service) in kills.enumerated() {
            let threshold = Int64(count * (index + 1) / (kills.count + 2))
            try await poll("\(threshold) events are encoded", within: limit) {
                try await progress.committedEvents() >= threshold
            }
            try await system.kill(service)
            killed.append(service)
            say("killed \(service) after \(threshold) events")
        }
        return killed
    }
}
