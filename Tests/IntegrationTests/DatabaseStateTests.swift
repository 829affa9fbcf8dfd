import Datasets
import Foundation
import HTTPClient
import Bytes
import LogAddresses
import Messages
import EmbeddingStore
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing
import Verification

/// Databases that are empty, of another version, or read-only for a while.
@Suite(.serialized) struct DatabaseStateTests {
    private func withFolder(_ body: (_ folder: String) async throws -> Void) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    /// Starts a service that must end by itself.
    private func refusal(
        _ program: String,
        database: String,
        folder: String
    ) async throws -> (status: ChildProcess.Status?, printed: String) {
        // The writer holds rows against the model's shape.
        let bundle = "\(folder)/bundle"
        if !FileManager.default.fileExists(atPath: bundle) {
            try SmallBundle.write(to: bundle, catalogue: SyntheticWorld().catalogue)
        }
        let process = try await ServiceProcess.start(
            ServiceProcess.Options(
                program,
                instance: "0",
                log: database,
                database: database,
                bundle: bundle,
                folder: folder
            )
        )
        try await process.waitUntilEnded()
        return (process.status, process.printed)
    }

    @Test func anEmptyDatabaseGetsTablesButNoTopics() async throws {
        try await withFolder { folder in
            let database = try PrivatePostgres.shared().makeDatabase()
            for (program, topic) in [("event-ingestor", "user-events"), ("embedding-writer", "user-embeddings")] {
                let (status, printed) = try await refusal(program, database: database, folder: folder)
                #expect(status == .exited(ExitCode.unavailable.rawValue))
                #expect(printed.contains("there is no topic \(topic)") && printed.contains("userllm up"), "\(printed)")
            }
            let table = try await EmbeddingTable(database: database)
            try await table.verify()
            await table.close()
        }
    }

    @Test(arguments: [
        ("event-ingestor", "userllm_log.schema_version"), ("embedding-writer", "user_embeddings_version"),
    ])
    func aDatabaseOfANewerProgramIsRefused(program: String, table: String) async throws {
        try await withFolder { folder in
            let database = try PrivatePostgres.shared().makeDatabase()
            _ = try await BareSystem(database: database, folder: folder)
            try PrivatePostgres.shared().psql(database, "INSERT INTO \(table) VALUES (99)")
            let (status, printed) = try await refusal(program, database: database, folder: folder)
            #expect(status == .exited(ExitCode.configuration.rawValue))
            #expect(printed.contains("version 99") && printed.contains("use a newer program"), "\(printed)")
        }
    }

    // MARK: - Read-only

    /// Makes a database read-only, for those too who are connected now, or writable for those who connect from now on.
    private func setReadOnly(_ isReadOnly: Bool, _ database: String) throws {
        let cluster = try PrivatePostgres.shared()
        let name = try #require(URLComponents(string: database)?.path.dropFirst())
        // From another database: in this one the statement itself would be refused.
        try cluster.psql(
            cluster.address(),
            "ALTER DATABASE \(name) SET default_transaction_read_only = \(isReadOnly ? "on" : "off")"
        )
        if isReadOnly { try cluster.endConnections(database) }
    }

    @Test func theIngestorSaysWhyAndTakesEventsAgainOnceItMayWrite() async throws {
        try await withFolder { folder in
            let database = try PrivatePostgres.shared().makeDatabase()
            let system = try await BareSystem(database: database, folder: folder)
            let claim = try PortClaim()
            defer { withExtendedLifetime(claim) {} }
            let port = claim.port
            let ingestor = try await system.start("event-ingestor", further: ["--port", "\(port)"])
            try await ingestor.waitUntilReady()
            @Sendable func send(_ item: String) async throws -> HTTPClientResponse {
                let body = #"{"user":"u0","item":"\#(item)","time":1700000000000}"#
                let url = "http://127.0.0.1:\(port)/v1/events"
                let request = HTTPClientRequest("POST", url, body: Array(body.utf8))
                return try await HTTPClient().send(request)
            }
            #expect(try await send("f1").status == 202)
            try setReadOnly(true, database)
            let refused = try await send("f2")
            #expect(refused.status == 503)
            #expect(refused.text.contains("read-only"), "\(refused.text)")
            #expect(await !ingestor.isReady())
            try setReadOnly(false, database)
            #expect(try await send("f3").status == 202)
            #expect(await ingestor.isReady())
            let events = Mutex<[Record]>([])
            for partition: Int32 in 0..<2 {
                try await system.log.replay(TopicPartition(Topic.userEvents.rawValue, partition)) { records in
                    events.withLock { $0 += records }
                }
            }
            let items = try events.withLock { $0 }.compactMap(\.value)
                .map { try Event(decoding: $0, contentType: nil).item.text }
            #expect(items == ["f1", "f3"])
            #expect(await ingestor.stop() == .exited(0))
            await system.log.close()
        }
    }

    @Test func theWriterWaitsUntilItMayWriteAndLosesNothing() async throws {
        try await withFolder { folder in
            let cluster = try PrivatePostgres.shared()
            let rows = try cluster.makeDatabase()
            let system = try await BareSystem(log: cluster.makeDatabase(), database: rows, folder: folder)
            let worker = try await system.start("encoder-worker")
            let writer = try await system.start("embedding-writer")
            try await system.append(users: 3, rounds: 0..<1)
            try await system.waitUntilDrained()
            try setReadOnly(true, rows)
            try await system.append(users: 3, rounds: 1..<3)
            try await system.waitUntilDrained(rows: false)
            try await poll("the writer says that it waits") {
                await !writer.isReady() && writer.printed.contains("read-only")
            }
            try setReadOnly(false, rows)
            try await system.waitUntilDrained()
            try await writer.waitUntilReady()
            #expect(writer.status == nil)
            #expect(try await system.problems() == [])
            await worker.stop()
            await writer.stop()
            await system.log.close()
        }
    }
}
