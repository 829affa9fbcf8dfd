import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// Resends rejected records to the topic they came from, once the reader that could not process them is fixed.
///
/// Each is sent exactly once, even if the process is killed: the records and the progress are committed together.
/// Records that are rejected during the replay are left for the next one; otherwise a record that stays bad would loop
/// forever.
struct ReplayFlow: Service {
    /// What became of the rejected records.
    struct Summary: Sendable, Equatable {
        /// How many were sent, or would be.
        var sent = 0
        /// How many cannot be sent: their values were truncated, or they do not say that they came from the topic.
        var unusable = 0
        /// How many for each reason.
        var reasons: [String: Int] = [:]
    }

    /// The group whose offsets record the progress of earlier replays.
    static let group = "replay-rejected"

    let name = "replay"
    private let topic: String
    private let isDryRun: Bool
    private let log: any MessageLog
    private let report: @Sendable (Summary) -> Void

    /// Prepares a replay; `report` is called with the summary.
    init(
        topic: String,
        isDryRun: Bool,
        log: any MessageLog,
        report: @escaping @Sendable (Summary) -> Void
    ) {
        self.topic = topic
        self.isDryRun = isDryRun
        self.log = log
        self.report = report
    }

    private var rejected: String { Topic.rejected(topic) }

    /// Sends everything that was rejected before now.
    func run(until shutdown: Shutdown) async throws {
        guard let count = try await log.partitionCount(of: rejected) else { throw StreamError.unknownTopic(rejected) }
        var ends: [TopicPartition: Int64] = [:]
        for number in 0..<count {
            let partition = TopicPartition(rejected, number)
            ends[partition] = try await log.watermarks(of: partition).high
        }
        report(isDryRun ? try await counted(upTo: ends) : try await send(upTo: ends, until: shutdown))
    }

    // MARK: - Counting

    private func counted(upTo ends: [TopicPartition: Int64]) async throws -> Summary {
        let committed = try await log.committedOffsets(group: Self.group, topic: rejected)
        let counter = Counter()
        for (partition, end) in ends {
            let start = committed[partition] ?? 0
            try await log.replay(partition) { [topic] records in
                for record in records where (start..<max(start, end)).contains(record.offset) {
                    await counter.add(record, of: topic)
                }
            }
        }
        return await counter.summary
    }

    private actor Counter {
        var summary = Summary()
        func add(_ record: Record, of topic: String) { _ = summary.take(record, of: topic) }
    }

    // MARK: - Sending

    private func send(upTo ends: [TopicPartition: Int64], until shutdown: Shutdown) async throws -> Summary {
        let remainder = Remainder(ends, topic: rejected, log)
        guard try await !remainder.isEmpty() else { return Summary() }
        let subscription = try await log.subscribe(
            SubscriptionOptions(
                topics: [rejected],
                membership: .group(Self.group),
                memberName: Self.group,
                outputTopics: [topic]
            )
        )
        let end = Shutdown()
        do {
            async let _ = watch(remainder, until: shutdown, end)
            let summary = try await send(remainder, from: subscription, until: end)
            await subscription.close()
            return summary
        } catch {
            await subscription.close()
            throw error
        }
    }

    private func send(
        _ remainder: Remainder,
        from subscription: any Subscription,
        until end: Shutdown
    ) async throws -> Summary {
        var summary = Summary()
        while let event = try await subscription.next(until: end) {
            switch event {
            case .assigned(let partitions), .revoked(let partitions, _):
                await remainder.takeBack(partitions)
            case .batch(let batch):
                let records = await remainder.part(of: batch.records)
                var next = summary
                let outputs = records.compactMap { next.take($0, of: topic) }
                if !records.isEmpty {
                    let part = Batch(records: records)
                    guard case .committed = try await subscription.commitResult(of: part, producing: outputs) else {
                        continue
                    }
                    summary = next
                }
                await remainder.pass(batch.records)
                if try await remainder.isEmpty() { return summary }
            }
        }
        return summary
    }

    /// Ends the replay even without an event: another replay may have sent the rest.
    private func watch(_ remainder: Remainder, until shutdown: Shutdown, _ end: Shutdown) async throws {
        while !shutdown.isRequested {
            // If the log is unavailable now, the replay itself will show it.
            if let isEmpty = try? await shutdown.cancelling({ try await remainder.isEmpty() }), isEmpty { break }
            try await shutdown.wait(atMost: .seconds(1))
        }
        end.request()
    }

    /// What is left to send: in each partition, the records before the end offset it had when the replay began.
    private actor Remainder {
        private let ends: [TopicPartition: Int64]
        private let topic: String
        private let log: any MessageLog
        /// Partitions in which a record at or after the end was seen.
        ///
        /// Offsets alone do not show that all earlier records are done: the log's own control records are never
        /// committed.
        private var passed: Set<TopicPartition> = []

        init(_ ends: [TopicPartition: Int64], topic: String, _ log: any MessageLog) {
            self.ends = ends
            self.topic = topic
            self.log = log
        }

        /// The records that are to be sent.
        func part(of records: [Record]) -> [Record] { records.filter { $0.offset < ends[$0.source] ?? 0 } }

        /// Marks records, and all before them, as done.
        func pass(_ records: [Record]) {
            passed.formUnion(records.filter { $0.offset >= ends[$0.source] ?? 0 }.map(\.source))
        }

        /// Notes that partitions may be read again from the last commit.
        func takeBack(_ partitions: [TopicPartition]) { passed.subtract(partitions) }

        /// Whether nothing is left, neither here nor in a concurrent replay.
        func isEmpty() async throws -> Bool {
            let lags = try await log.lags(group: ReplayFlow.group, topic: topic)
            let committed = try await log.committedOffsets(group: ReplayFlow.group, topic: topic)
            return ends.allSatisfy { partition, end in
                lags[partition, default: 0] == 0 || committed[partition] ?? 0 >= end || passed.contains(partition)
            }
        }
    }
}

extension ReplayFlow.Summary {
    /// Counts a rejected record and returns the record to send; nil if it cannot be sent.
    fileprivate mutating func take(_ record: Record, of topic: String) -> OutgoingRecord? {
        // A header must not decide where to write: another topic might not even be one that the commit clears up.
        guard let rejection = Rejection(headersOf: record), !rejection.isCut, rejection.source.topic == topic else {
            unusable += 1
            return nil
        }
        sent += 1
        reasons[rejection.reason, default: 0] += 1
        return rejection.replayed(record)
    }

    /// A summary for people.
    func text(topic: String, isDryRun: Bool) -> String {
        var lines = [
            isDryRun
                ? "\(sent) rejected records would be sent to \(topic) again"
                : "sent \(sent) rejected records to \(topic) again"
        ]
        for (reason, count) in reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }).prefix(20) {
            lines.append("  \(count)  \(reason)")
        }
        if reasons.count > 20 { lines.append("  and \(reasons.count - 20) other reasons") }
        if unusable > 0 {
            lines.append(
                "\(unusable) cannot be sent: they were too large to be kept whole, or do not say that they came from \(topic)"
            )
        }
        return lines.joined(separator: "\n")
    }
}
