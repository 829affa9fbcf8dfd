import Messages
import ServiceRuntime
import StreamProcessing
import Streams

/// Sends rejected records to the topic they came from once more: after the reader that could not use them was mended.
///
/// Each goes exactly once, also when the process is killed: what was sent and how far it got are committed together.
/// Records that are rejected while it runs are left for the next time, or one that stays bad would go round for ever.
struct ReplayFlow: Service {
    /// What became of the rejected records.
    struct Summary: Sendable, Equatable {
        /// How many were sent, or would be.
        var sent = 0
        /// How many cannot be sent: their values were cut, or they do not say where they came from.
        var unusable = 0
        /// How many for each reason.
        var reasons: [String: Int] = [:]
    }

    /// The group whose offsets say how far earlier replays came.
    static let group = "replay-rejected"

    let name = "replay"
    private let topic: String
    private let isDryRun: Bool
    private let log: any MessageLog
    private let report: @Sendable (Summary) -> Void

    /// Prepares a replay; `report` is told what came of it.
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

    /// Sends all that was rejected before now.
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
            try await log.replay(partition) { records in
                for record in records where (start..<max(start, end)).contains(record.offset) {
                    await counter.add(record)
                }
            }
        }
        return await counter.summary
    }

    private actor Counter {
        var summary = Summary()
        func add(_ record: Record) { _ = summary.take(record) }
    }

    // MARK: - Sending

    private func send(upTo ends: [TopicPartition: Int64], until shutdown: Shutdown) async throws -> Summary {
        var summary = Summary()
        guard try await isBehind() else { return summary }
        let subscription = try await log.subscribe(
            SubscriptionOptions(topics: [rejected], membership: .group(Self.group), memberName: Self.group)
        )
        do {
            var finished: Set<TopicPartition> = []
            while finished.count < ends.count, let event = try await subscription.next(until: shutdown) {
                guard case .batch(let batch) = event else { continue }
                let records = batch.records.filter { $0.offset < ends[$0.source] ?? 0 }
                finished.formUnion(batch.records.filter { $0.offset >= ends[$0.source] ?? 0 }.map(\.source))
                guard !records.isEmpty else { continue }
                var next = summary
                let outputs = records.compactMap { next.take($0) }
                if case .committed = try await subscription.commitResult(
                    of: Batch(records: records),
                    producing: outputs
                ) {
                    summary = next
                }
                if try await !isBehind() { break }
            }
        } catch {
            await subscription.close()
            throw error
        }
        await subscription.close()
        return summary
    }

    private func isBehind() async throws -> Bool { try await log.lag(group: Self.group, topic: rejected) > 0 }
}

extension ReplayFlow.Summary {
    /// Counts a rejected record, and gives what is to be sent; nil when it cannot be.
    fileprivate mutating func take(_ record: Record) -> OutgoingRecord? {
        guard let rejection = Rejection(headersOf: record), !rejection.isCut else {
            unusable += 1
            return nil
        }
        sent += 1
        reasons[rejection.reason, default: 0] += 1
        return rejection.replayed(record)
    }

    /// For people.
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
                "\(unusable) cannot be sent: they were too large to be kept whole, or do not say whence they came"
            )
        }
        return lines.joined(separator: "\n")
    }
}
