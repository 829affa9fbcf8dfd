import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import KafkaLogs

@Suite(
    .enabled(if: PrivateKafka.isAvailable, "\(PrivateKafka.unavailableReason ?? "")"),
    .inTurns,
    .timeLimit(.minutes(15))
)
struct BrokerCrashTests {
    @Test func losesNothingAcknowledgedAndCopiesEachRecordOnce() async throws {
        let broker = try await PrivateKafka.separate()
        let (log, input) = try await openLog(partitions: 1, on: broker)
        let (_, output) = try await openLog(partitions: 1, on: broker)
        let copier = try await log.subscribe(
            SubscriptionOptions(
                topics: [input],
                membership: .group("copiers"),
                maximumBatchCount: 20,
                memberName: "copier-0",
                outputTopics: [output]
            )
        )
        let ledger = Ledger()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await copy(copier, to: output, ledger) }
            group.addTask { try await appendUntilToldToEnd(log, input, ledger) }
            // Crashes come while both are at work, nearly all of them in the middle of a commit; some last longer than a
            // transaction may.
            try await ledger.waits(for: 1_000)
            for crash in 0..<Fuzzer.count(full: 25, daily: 2) {
                try await broker.kill()
                let mark = await ledger.copied
                try await Task.sleep(for: .seconds(crash % 7))
                try await broker.restart()
                try await ledger.waits(for: mark + 1_000)
            }
            await ledger.end()
            try await group.waitForAll()
        }
        let sent = try await replayed(log, TopicPartition(input, 0)).map { text($0.value) }
        let lost = await ledger.acknowledged.subtracting(sent)
        #expect(lost.isEmpty)
        // Each append has its own values and none is repeated, so a record that is there twice was doubled by the log.
        #expect(Set(sent).count == sent.count)
        let copied = try await replayed(log, TopicPartition(output, 0)).map { text($0.value) }
        #expect(copied == sent)
        await copier.close()
        await log.close()
        await broker.stop()
    }

    private func appendUntilToldToEnd(
        _ log: KafkaLog,
        _ topic: String,
        _ ledger: Ledger
    ) async throws {
        var count = 0
        while await !ledger.hasEnded {
            // No faster than the copier, whose commits are small.
            if await ledger.copied + 2_000 < count {
                try await Task.sleep(for: .milliseconds(5))
                continue
            }
            let values = (count..<count + 100).map { "\($0)" }
            count += 100
            do {
                try await log.append(values.map { OutgoingRecord(topic: topic, key: bytes($0), value: bytes($0)) })
                await ledger.note(values)
            } catch {
                // Some may have been taken; they count as not acknowledged.
                guard case .unavailable = error else { throw error }
            }
        }
        try await log.append([OutgoingRecord(topic: topic, key: bytes("end"), value: bytes("end"))])
    }

    private func copy(_ subscription: any Subscription, to output: String, _ ledger: Ledger) async throws {
        while let event = try await subscription.next() {
            guard case .batch(let batch) = event else { continue }
            do {
                try await subscription.commit(
                    batch,
                    producing: batch.records.map { OutgoingRecord(topic: output, key: $0.key, value: $0.value) }
                )
            } catch {
                switch error {
                case .commitRefused, .unavailable: continue
                default: throw error
                }
            }
            await ledger.note(copied: batch.records.count)
            if batch.records.contains(where: { text($0.value) == "end" }) { return }
        }
    }
}

/// What was acknowledged and copied so far.
private actor Ledger {
    private(set) var acknowledged: Set<String> = []
    private(set) var copied = 0
    private(set) var hasEnded = false

    func note(_ values: [String]) {
        acknowledged.formUnion(values)
    }

    func note(copied count: Int) {
        copied += count
    }

    func end() {
        hasEnded = true
    }

    /// Returns when so many are copied.
    func waits(for count: Int) async throws {
        while copied < count { try await Task.sleep(for: .milliseconds(10)) }
    }
}
