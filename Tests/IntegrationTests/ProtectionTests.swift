import Foundation
import Glibc
import Bytes
import Messages
import PostgresClient
import MessageLogs
import TestSupport
import Testing
import Verification

/// Each protection against the fault it stands against: with it everything is right, without it the check must fail.
///
/// Those that both logs need are in `CommitProtectionTests`, which runs beside this suite: most of the time is waiting.
@Suite(.serialized) struct ProtectionTests {
    /// An old embedding comes after a newer one: a batch reduces its own, so they come in two.
    @Test(arguments: ["", "row-guard"])
    func rowsDoNotGoBackWhenEmbeddingsComeInAnotherOrder(without protections: String) async throws {
        try await FaultStage.run { system in
            let worker = try await system.start("encoder-worker")
            let writer = try await system.start("embedding-writer", without: protections)
            try await system.append(users: 1, rounds: 0..<1)
            try await system.waitUntilDrained()
            let old = try #require(try await system.embeddings().last)
            try await system.append(users: 1, rounds: 1..<4)
            try await system.waitUntilDrained()
            try await system.log.append([
                OutgoingRecord(topic: Topic.userEmbeddings.rawValue, key: old.key, value: old.value)
            ])
            try await system.waitUntilDrained()
            let problems = try await system.problems(hasForeignEmbeddings: true)
            if protections.isEmpty {
                #expect(problems == [])
            } else {
                #expect(problems == ["rows: u0 has 4 events, its row knows 1"])
            }
            await worker.stop()
            await writer.stop()
        }
    }

    /// A writer is stopped with a batch in hand, another one writes it and more, and the first wakes up.
    ///
    /// Two layers: without the fence the offsets go back, and the row guard still keeps the rows; without both the rows
    /// go back too.
    @Test(arguments: ["", "writer-fence", "writer-fence,row-guard"])
    func aWriterThatWakesUpWritesNothing(without protections: String) async throws {
        try await FaultStage.run { system in
            let zombie = try await system.start(
                "embedding-writer",
                "zombie",
                failpoints: "writer.before-commit:stop,writer.after-commit:kill",
                without: protections
            )
            try await zombie.waitUntilReady()
            let worker = try await system.start("encoder-worker")
            try await system.append(users: 4, rounds: 0..<1)
            try await zombie.waitUntilStopped()
            let heir = try await system.start("embedding-writer", "heir")
            let problems = try await wake(
                zombie,
                after: heir,
                without: protections,
                refusal: "the offsets in the database were moved",
                in: system
            )
            #expect(problems.contains { $0.contains("the writers stored") } == !protections.isEmpty)
            #expect(problems.contains { $0.hasPrefix("rows:") } == protections.contains("row-guard"))
            heir.signal(SIGCONT)
            await zombie.stop()
            await worker.stop()
            await heir.stop()
        }
    }

    /// Lets a stopped process go on once another has done its batch and more, until it was refused or has committed.
    ///
    /// - Returns: what is wrong then.
    private func wake(
        _ zombie: ServiceProcess,
        after heir: ServiceProcess,
        without protections: String,
        refusal: String,
        in system: BareSystem
    ) async throws -> [String] {
        try await system.append(users: 4, rounds: 1..<5)
        try await system.waitUntilDrained()
        // Who takes partitions anew after it would read again, and so mend what the zombie did.
        if !protections.isEmpty { heir.signal(SIGSTOP) }
        zombie.signal(SIGCONT)
        if protections.isEmpty {
            try await poll("the zombie was refused") { zombie.printed.contains(refusal) }
        } else {
            try await zombie.waitUntilEnded()
        }
        let problems = try await system.problems()
        #expect(problems.isEmpty == protections.isEmpty, "\(problems)")
        return problems
    }

    /// A client sends an event again because its acknowledgement was lost, and another worker has the partition by then.
    @Test(arguments: ["", "event-ids"])
    func anEventThatIsSentAgainCountsOnce(without protections: String) async throws {
        try await FaultStage.run { system in
            let event = Event(id: "e1", user: "u0", item: "f1", time: 1_700_000_000_000)
            let record = OutgoingRecord(
                topic: Topic.userEvents.rawValue,
                key: Array(event.user.utf8),
                value: try event.encoded()
            )
            let writer = try await system.start("embedding-writer")
            let first = try await system.start("encoder-worker", "first")
            try await system.log.append([record])
            try await system.waitUntilDrained()
            await first.stop()
            let second = try await system.start("encoder-worker", "second", without: protections)
            try await system.log.append([record])
            try await system.append(users: 1, rounds: 0..<2)
            try await system.waitUntilDrained()
            let findings = try await system.check()
            #expect(findings.duplicates == 1)
            #expect(findings.problems.isEmpty == protections.isEmpty, "\(findings.problems)")
            #expect(findings.problems.contains("rows: u0 has 3 events, its row knows 4") == !protections.isEmpty)
            await second.stop()
            await writer.stop()
        }
    }

    /// A worker restores while somebody's transaction with the newest state of a user is still open.
    ///
    /// Over Kafka: KafkaLogsTests/RestoreBarrierTests.
    @Test(arguments: ["", "restore-barrier"])
    func aRestoreWaitsForStateThatIsOnItsWay(without protections: String) async throws {
        try await FaultStage.run { system in
            let writer = try await system.start("embedding-writer")
            let first = try await system.start("encoder-worker", "first")
            try await system.append(users: 1, rounds: 0..<5)
            try await system.waitUntilDrained()
            await first.stop()

            // The state is taken out of the log and put back in a transaction that stays open.
            let operate = try PostgresConnection(address: system.database)
            try await operate.execute(Self.takeOutTimelines, operation: "test")
            try await operate.execute("BEGIN; \(Self.putBackTimelines)", operation: "test")
            let second = try await system.start("encoder-worker", "second", without: protections)
            try await system.append(users: 1, rounds: 5..<6)
            if protections.isEmpty {
                let watch = try PostgresConnection(address: system.database)
                try await poll("the worker waits for the transaction") {
                    try await watch.query(Self.isSomebodyWaiting, operation: "test").bool(0, 0)
                }
                await watch.close()
            } else {
                try await poll("the worker goes on") { await second.isReady() }
            }
            try await operate.execute("COMMIT", operation: "test")
            await operate.close()
            try await system.waitUntilDrained()
            let problems = try await system.problems()
            #expect(problems.isEmpty == protections.isEmpty, "\(problems)")
            #expect(problems.contains { $0.hasPrefix("timelines:") } == !protections.isEmpty)
            await second.stop()
            await writer.stop()
        }
    }

    private static let takeOutTimelines = """
        CREATE TABLE test_kept AS SELECT r.* FROM userllm_log.records r
            JOIN userllm_log.partitions p ON p.id = r.partition_id
            JOIN userllm_log.topics t ON t.id = p.topic_id WHERE t.name = 'user-timelines';
        DELETE FROM userllm_log.records r USING test_kept k
            WHERE r.partition_id = k.partition_id AND r.record_offset = k.record_offset;
        """
    private static let putBackTimelines = """
        SELECT userllm_log.append_records(
            ARRAY[partition_id], ARRAY[1], ARRAY[1], ARRAY[0], ARRAY[key], ARRAY[value], ARRAY[headers])
        FROM test_kept ORDER BY record_offset DESC LIMIT 1
        """
    private static let isSomebodyWaiting = """
        SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND query LIKE '%next_offset FROM userllm_log.partitions%')
        """

    /// A worker is stopped with a batch in hand, another one does it and more, and the first wakes up.
    @Test(arguments: ["", "membership-check"])
    func aWorkerThatWakesUpCommitsNothing(without protections: String) async throws {
        try await FaultStage.run { system in
            let writer = try await system.start("embedding-writer")
            let zombie = try await system.start(
                "encoder-worker",
                "zombie",
                failpoints: "encoder.after-embeddings:stop,postgres.after-commit:kill",
                without: protections
            )
            try await zombie.waitUntilReady()
            try await system.append(users: 4, rounds: 0..<1)
            try await zombie.waitUntilStopped()
            let heir = try await system.start("encoder-worker", "heir")
            let problems = try await wake(
                zombie,
                after: heir,
                without: protections,
                refusal: "the commit of a batch was refused",
                in: system
            )
            #expect(problems.contains { $0.contains("the workers committed") } == !protections.isEmpty)
            heir.signal(SIGCONT)
            await zombie.stop()
            await heir.stop()
            await writer.stop()
        }
    }
}
