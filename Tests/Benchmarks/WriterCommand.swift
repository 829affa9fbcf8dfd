import Foundation
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import UserModels
import Verification

/// `benchmarks writer`: embeddings from the log into rows, beside PostgreSQL's own `COPY` of the same rows.
enum WriterCommand {
    private static let rowsKey = ConfigurationKey<Int>(
        "rows",
        default: 100_000,
        in: 1_000...10_000_000,
        help: "How many users' embeddings are in the log when the writer starts"
    )

    private static let roundsKey = ConfigurationKey<Int>(
        "rounds",
        default: 3,
        in: 1...100,
        help: "How often the rows are written anew and replaced, each followed by a COPY"
    )

    /// The command as the program lists it.
    static let command = Command(
        "writer",
        summary: "Embeddings of 16 x 64 floats into rows, and COPY into the same table, in turn",
        keys: [rowsKey, roundsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let count = try reader.value(of: rowsKey)
        let rounds = try reader.value(of: roundsKey)
        try await StreamStage.run(reader) { stage in
            let bundle = try ModelBundle.load(stage.bundle)
            var new: [Round] = []
            var replacing: [Round] = []
            for _ in 0..<rounds {
                try await stage.psql("TRUNCATE user_embeddings")
                let eventCount = UInt64(2 * new.count + 1)
                new.append(try await round(stage, bundle, count, eventCount: eventCount))
                replacing.append(try await round(stage, bundle, count, eventCount: eventCount + 1))
            }
            var table = BenchmarkTable(
                benchmark: "writer",
                settings: [
                    "log": try reader.value(of: StreamStage.logKey).rawValue,
                    "rounds": "\(rounds)",
                    "rows": "\(count) of \(bundle.contextRows) x \(bundle.contextColumns) floats",
                ]
            )
            table.rows = rows("rows that are new", new) + rows("rows that replace others", replacing)
            try table.show(reader)
        }
    }

    /// Rows a second of the writer, and of the `COPY` right after it.
    private struct Round {
        var ours: Double
        var copy: Double
    }

    private static func rows(_ what: String, _ rounds: [Round]) -> [BenchmarkTable.Row] {
        let copy = ("COPY into the same table, empty", median(rounds.map(\.copy)))
        return [
            .init("\(what), median", median(rounds.map(\.ours)), "rows/s", against: copy),
            .init("\(what), ratio of neighbours, median", median(rounds.map { $0.ours / $0.copy }), ""),
        ]
    }

    private static func round(_ stage: StreamStage, _ bundle: ModelBundle, _ count: Int, eventCount: UInt64)
        async throws -> Round
    {
        try await append(stage, bundle, count, eventCount: eventCount)
        let ours = try await write(stage, count)
        let found = try await stage.psql("SELECT count(*), min(event_count) FROM user_embeddings")
        guard found == "\(count)|\(eventCount)" else { throw ProcessFailure("the table has \(found)") }
        return Round(ours: ours, copy: try await copy(stage, count))
    }

    private static func append(_ stage: StreamStage, _ bundle: ModelBundle, _ count: Int, eventCount: UInt64)
        async throws
    {
        for start in stride(from: 0, to: count, by: 2_000) {
            let records = try (start..<min(start + 2_000, count)).map { index in
                let user = UserID("user-\(index)")
                let context = (0..<bundle.contextRows * bundle.contextColumns).map {
                    Float(($0 &* 31 &+ index) % 997) / 997
                }
                let embedding = UserEmbedding(
                    user: user,
                    modelVersion: bundle.version,
                    generation: 0,
                    eventCount: eventCount,
                    sourcePartition: 0,
                    sourceOffset: Int64(index),
                    appendedAt: WallClock.milliseconds,
                    rows: bundle.contextRows,
                    columns: bundle.contextColumns,
                    context: context,
                    pooled: Array(context.prefix(bundle.contextColumns))
                )
                return OutgoingRecord(
                    topic: Topic.userEmbeddings.rawValue,
                    key: Array(user.utf8),
                    value: try embedding.encoded()
                )
            }
            try await stage.log.append(records)
        }
    }

    /// Rows a second of a writer that finds them all in the log, from when it is ready.
    private static func write(_ stage: StreamStage, _ count: Int) async throws -> Double {
        let writer = try await stage.start("embedding-writer")
        let before = try await stage.metric("userllm_embedding_writer_rows_written_total", of: writer)
        let time = try await seconds {
            try await poll("all rows are written", within: .seconds(1_800), every: .milliseconds(50)) {
                try await stage.metric("userllm_embedding_writer_rows_written_total", of: writer) >= Double(count)
            }
        }
        await writer.child.stop(signal: SIGTERM, patience: .seconds(30))
        return (Double(count) - before) / time
    }

    /// Rows a second of `COPY` in binary into a table with the same columns, checks, index and storage.
    private static func copy(_ stage: StreamStage, _ count: Int) async throws -> Double {
        let file = "\(stage.folder)/rows"
        try await stage.psql("\\copy user_embeddings TO '\(file)' (FORMAT binary)")
        // LIKE leaves out how full pages get and from which size on values are stored apart.
        let storage = try await stage.psql(
            "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = 'user_embeddings'::regclass"
        )
        try await stage.psql("CREATE TABLE copied (LIKE user_embeddings INCLUDING ALL) WITH (\(storage))")
        let time = try await seconds { try await stage.psql("\\copy copied FROM '\(file)' (FORMAT binary)") }
        try await stage.psql("DROP TABLE copied")
        return Double(count) / time
    }
}
