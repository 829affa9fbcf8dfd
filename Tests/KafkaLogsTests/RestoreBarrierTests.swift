import Foundation
import Bytes
import Messages
import MessageLogs
import TestSupport
import Testing
import Verification

/// A restore behind an open transaction; the other protections are tested in IntegrationTests/ProtectionTests.
@Suite(.serialized, .enabled(if: KafkaBroker.program != nil, "no Apache Kafka: set KAFKA_HOME"))
struct RestoreBarrierTests {
    /// Somebody else's transaction is open in the topic of the state, and the state was committed behind it: readers of
    /// committed records see nothing of it yet.
    @Test(arguments: ["", "restore-barrier"])
    func aRestoreWaitsForStateBehindAnOpenTransaction(without protections: String) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let broker = try await KafkaBroker.start(in: folder, settings: ["group.min.session.timeout.ms=1000"])
        do {
            let database = try PrivatePostgres.shared().makeDatabase()
            try await run(try await BareSystem(log: broker.address, database: database, folder: folder), protections)
        } catch {
            await broker.stop()
            throw error
        }
        await broker.stop()
    }

    private func run(_ system: BareSystem, _ protections: String) async throws {
        let writer = try await system.start("embedding-writer")
        let first = try await system.start("encoder-worker", "first")
        try await first.waitUntilReady()
        let foreign = try ForeignProducer(address: system.address)
        // A deletion of somebody who never was changes nothing.
        let records = (0..<2).map {
            OutgoingRecord(topic: Topic.userTimelines.rawValue, partition: $0, key: Array("nobody".utf8), value: nil)
        }
        try await foreign.beginAndSend(records)
        try await system.append(users: 5, rounds: 0..<3)
        try await system.waitUntilDrained()
        await first.stop()

        let second = try await system.start("encoder-worker", "second", without: protections)
        try await system.append(users: 5, rounds: 3..<4)
        if protections.isEmpty {
            // Long enough that a worker which did not wait would have gone on; a shorter wait would prove less.
            try await Task.sleep(for: .seconds(3))
            #expect(await !second.isReady())
        } else {
            try await system.waitUntilDrained(rows: false)
        }
        try await foreign.abort()
        try await system.waitUntilDrained()
        let problems = try await system.problems()
        #expect(problems.isEmpty == protections.isEmpty, "\(problems)")
        #expect(problems.contains { $0.hasPrefix("rows:") } == !protections.isEmpty)
        await second.stop()
        await writer.stop()
        await system.log.close()
    }
}
