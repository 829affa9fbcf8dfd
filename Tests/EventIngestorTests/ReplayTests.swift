import Foundation
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

/// Replays on both logs; in turn, because all are members of one group.
@Suite(.serialized) struct ReplayTests {
    private let topic = "test-\(UUID().uuidString.lowercased())"

    private func open(_ log: TestedLog, rejectedPartitions: Int32 = 1) async throws -> any MessageLog {
        let log = try await log.open()
        try await log.createTopics(
            [(topic, 2), (Topic.rejected(topic), rejectedPartitions)].map { name, count in
                TopicSpecification(name: name, partitionCount: count, cleanup: .delete(after: .seconds(86_400)))
            }
        )
        return log
    }

    private func rejected(_ user: String, _ value: [UInt8], partition: Int32? = nil) -> OutgoingRecord {
        let record = Record(
            source: TopicPartition(topic, 0),
            offset: 7,
            timestamp: 0,
            key: Array(user.utf8),
            value: value,
            headers: [Header("content-type", "application/json")]
        )
        var outgoing = RejectedRecord(record, kind: .decode, reason: "bad \(value.count)").outgoing(service: "test")
        outgoing.partition = partition
        return outgoing
    }

    private func replay(_ log: any MessageLog, isDryRun: Bool = false) async throws -> ReplayFlow.Summary {
        let summary = Mutex<ReplayFlow.Summary?>(nil)
        let flow = ReplayFlow(topic: topic, isDryRun: isDryRun, log: log) { found in
            summary.withLock { $0 = found }
        }
        let shutdown = Shutdown()
        try await withLimit("the replay", onTimeout: { shutdown.request() }) {
            try await flow.run(until: shutdown)
        }
        return try #require(summary.withLock { $0 })
    }

    /// What is in the topic that rejected records are sent to.
    private func sent(_ log: any MessageLog) async throws -> [Record] {
        let found = Mutex<[Record]>([])
        for partition: Int32 in 0..<2 {
            try await log.replay(TopicPartition(topic, partition)) { records in found.withLock { $0 += records } }
        }
        return found.withLock { $0 }
    }

    private func values(_ log: any MessageLog) async throws -> [String] {
        try await sent(log).map { String(decoding: $0.value ?? [], as: UTF8.self) }.sorted()
    }

    @Test(arguments: TestedLog.available)
    func sendsEachRejectedRecordOnceAsItWas(kind: TestedLog) async throws {
        let log = try await open(kind)
        #expect(try await replay(log) == .init())
        try await log.append((0..<5).map { rejected("u\($0)", Array("{\($0)".utf8)) })
        let expected = ReplayFlow.Summary(sent: 5, unusable: 0, reasons: ["bad 2": 5])
        #expect(try await replay(log, isDryRun: true) == expected)
        #expect(try await sent(log).isEmpty)
        #expect(try await replay(log) == expected)
        let sent = try await sent(log)
        #expect(
            sent.map { String(decoding: $0.value ?? [], as: UTF8.self) }.sorted() == ["{0", "{1", "{2", "{3", "{4"]
        )
        #expect(sent.allSatisfy { $0.headers == [Header("content-type", "application/json"), Header("replays", "1")] })

        // Nothing is left; what is rejected later is sent later.
        #expect(try await replay(log) == .init())
        try await log.append([rejected("v", Array("{later".utf8))])
        #expect(try await replay(log).sent == 1)
        await log.close()
    }

    @Test(arguments: TestedLog.available)
    func whatWasCutOrComesFromNowhereIsCountedAndPassedOver(kind: TestedLog) async throws {
        let log = try await open(kind)
        try await log.append([rejected("large", [UInt8](repeating: 120, count: 1_040_000))])
        try await log.append([OutgoingRecord(topic: Topic.rejected(topic), key: nil, value: [1])])
        try await log.append([rejected("good", Array("{".utf8))])
        #expect(try await replay(log) == ReplayFlow.Summary(sent: 1, unusable: 2, reasons: ["bad 1": 1]))
        await log.close()
    }

    /// A log on which something is rejected once the replay has looked at the ends of the partitions.
    private final class BusyLog: ForwardingLog {
        let log: any MessageLog
        private let late: OutgoingRecord

        init(_ log: any MessageLog, late: OutgoingRecord) {
            self.log = log
            self.late = late
        }

        func subscribe(_ options: SubscriptionOptions) async throws(StreamError) -> any Subscription {
            try await log.append([late])
            return try await log.subscribe(options)
        }
    }

    @Test(arguments: TestedLog.available)
    func endsAlthoughSomePartitionsHaveNothingAndOthersGetMoreMeanwhile(kind: TestedLog) async throws {
        let log = try await open(kind, rejectedPartitions: 4)
        // Partition 1 has never had anything, and of 3 all was sent earlier.
        try await log.append([rejected("u", [51], partition: 3)])
        #expect(try await replay(log).sent == 1)
        try await log.append((0..<5).map { rejected("u\($0)", Array("0\($0)".utf8), partition: 0) })
        try await log.append((0..<3).map { rejected("u\($0)", Array("2\($0)".utf8), partition: 2) })
        let busy = BusyLog(log, late: rejected("u", Array("late".utf8), partition: 0))
        #expect(try await replay(busy).sent == 8)
        let expected = ["00", "01", "02", "03", "04", "20", "21", "22", "3"]
        #expect(try await values(log) == expected)
        #expect(try await replay(log).sent == 1)
        #expect(try await values(log) == expected + ["late"])
        await log.close()
    }

    @Test(arguments: TestedLog.available)
    func twoThatRunAtOnceSendEachRecordOnceAndBothEnd(kind: TestedLog) async throws {
        let log = try await open(kind, rejectedPartitions: 3)
        try await log.append(
            (0..<90).map { rejected("u\($0)", Array("\($0 + 100)".utf8), partition: Int32($0 % 3)) }
        )
        async let first = replay(log)
        async let second = replay(log)
        let sent = try await (first.sent, second.sent)
        #expect(sent.0 + sent.1 == 90, "\(sent)")
        #expect(try await values(log) == (100..<190).map(String.init))
        await log.close()
    }
}
