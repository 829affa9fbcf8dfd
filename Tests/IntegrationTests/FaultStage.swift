import Foundation
import Messages
import Flows
import MessageLogs
import TestSupport
import Testing
import Verification

/// A log and a database of one test alone, where it starts the processes itself.
enum FaultStage {
    /// Which logs there are here: PostgreSQL always, Kafka where there is one.
    static let logs = KafkaBroker.program == nil ? [false] : [false, true]

    /// Runs a test on a fresh system without processes, and takes everything away.
    ///
    /// - Parameters:
    ///   - kafka: over Kafka, else over PostgreSQL.
    ///   - topics: the log's topics.
    ///   - body: the test.
    /// - Throws: what `body` throws.
    static func run(
        kafka: Bool = false,
        topics: [TopicSpecification] = TopicSpecification.system(partitionCount: 2),
        _ body: (BareSystem) async throws -> Void
    ) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let settings = [
            "group.min.session.timeout.ms=1000", "transaction.abort.timed.out.transaction.cleanup.interval.ms=500",
        ]
        let broker = kafka ? try await KafkaBroker.start(in: folder, settings: settings) : nil
        do {
            let database = try PrivatePostgres.shared().makeDatabase()
            let system = try await BareSystem(
                log: broker?.address,
                database: database,
                folder: folder,
                topics: topics
            )
            try await body(system)
            await system.log.close()
        } catch {
            await broker?.stop()
            throw error
        }
        await broker?.stop()
    }
}

extension BareSystem {
    /// Sets the encoder workers' offsets back to behind each partition's first record, as an operator might.
    func rewindEvents() async throws {
        let topic = Topic.userEvents.rawValue
        let first = FirstRecords()
        for partition in 0..<(try await log.partitionCount(of: topic) ?? 0) {
            try await log.replay(TopicPartition(topic, partition)) { records in await first.take(records) }
        }
        let options = SubscriptionOptions(
            topics: [topic],
            membership: .group(ConsumerGroup.encoderWorker),
            memberName: "operator"
        )
        let subscription = try await log.subscribe(options)
        while let event = try await subscription.next() {
            guard case .assigned(let partitions) = event else { continue }
            let records = await first.records
            let batch = Batch(records: partitions.compactMap { records[$0] })
            try await subscription.commit(batch, producing: [])
            break
        }
        await subscription.close()
    }
}

private actor FirstRecords {
    private(set) var records: [TopicPartition: Record] = [:]

    func take(_ some: [Record]) {
        for record in some where records[record.source] == nil { records[record.source] = record }
    }
}
