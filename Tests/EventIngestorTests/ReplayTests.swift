import MessageLogs
import Messages
import ServiceRuntime
import StreamProcessing
import Streams
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

@Suite struct ReplayTests {
    private func open() async throws -> any MessageLog {
        let log = try await openLog(PrivatePostgres.shared().makeDatabase())
        try await log.createTopics(TopicSpecification.system(partitionCount: 2))
        return log
    }

    private func reject(_ user: String, _ value: [UInt8], _ log: any MessageLog) async throws {
        let record = Record(
            source: TopicPartition("user-events", 0),
            offset: 7,
            timestamp: 0,
            key: Array(user.utf8),
            value: value,
            headers: [Header("content-type", "application/json")]
        )
        let rejected = RejectedRecord(record, kind: .decode, reason: "bad \(value.count)")
        try await log.append([rejected.outgoing(service: "encoder-worker")])
    }

    private func replay(_ log: any MessageLog, isDryRun: Bool = false) async throws -> ReplayFlow.Summary {
        let summary = Mutex<ReplayFlow.Summary?>(nil)
        let flow = ReplayFlow(topic: "user-events", isDryRun: isDryRun, log: log) { found in
            summary.withLock { $0 = found }
        }
        try await withLimit(.seconds(60), "the replay") { try await flow.run(until: Shutdown()) }
        return try #require(summary.withLock { $0 })
    }

    @Test func sendsEachRejectedRecordOnceAsItWas() async throws {
        let log = try await open()
        #expect(try await replay(log) == .init())
        for index in 0..<5 { try await reject("u\(index)", Array("{\(index)".utf8), log) }
        let expected = ReplayFlow.Summary(sent: 5, unusable: 0, reasons: ["bad 2": 5])
        #expect(try await replay(log, isDryRun: true) == expected)
        #expect(try await TestLog.records(log, ofUsers: "u", partitions: 2).isEmpty)
        #expect(try await replay(log) == expected)
        let sent = try await TestLog.records(log, ofUsers: "u", partitions: 2)
        #expect(Set(sent.map { String(decoding: $0.value ?? [], as: UTF8.self) }) == ["{0", "{1", "{2", "{3", "{4"])
        #expect(sent.allSatisfy { $0.headers == [Header("content-type", "application/json"), Header("replays", "1")] })

        // Nothing is left; what is rejected later is sent later.
        #expect(try await replay(log) == .init())
        try await reject("v", Array("{later".utf8), log)
        #expect(try await replay(log).sent == 1)
        await log.close()
    }

    @Test func whatWasCutOrComesFromNowhereIsCountedAndPassedOver() async throws {
        let log = try await open()
        try await reject("large", [UInt8](repeating: 120, count: 1_040_000), log)
        try await log.append([OutgoingRecord(topic: "user-events-rejected", key: nil, value: [1])])
        try await reject("good", Array("{".utf8), log)
        #expect(try await replay(log) == ReplayFlow.Summary(sent: 1, unusable: 2, reasons: ["bad 1": 1]))
        await log.close()
    }
}
