import Foundation
import Messages
import ServiceRuntime
import StreamProcessing
import Streams
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

    /// The command as the program lists it.
    static let command = Command(
        "writer",
        summary: "Embeddings of 16 x 64 floats into rows, against COPY into the same table",
        keys: [rowsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let count = try reader.value(of: rowsKey)
        try await StreamStage.run(reader) { stage in
            let bundle = try ModelBundle.load(stage.bundle)
            var rates: [Double] = []
            for round in 1...2 {
                try await append(stage, bundle, count, eventCount: UInt64(round))
                rates.append(try await write(stage, count * round, count))
            }
            let copy = try await copy(stage, count)
            var table = BenchmarkTable(
                benchmark: "writer",
                settings: [
                    "log": try reader.value(of: StreamStage.logKey).rawValue,
                    "rows": "\(count) of \(bundle.contextRows) x \(bundle.contextColumns) floats",
                ]
            )
            table.rows = [
                .init("rows that are new", rates[0], "rows/s", against: ("COPY into the same table, empty", copy)),
                .init(
                    "rows that replace others",
                    rates[1],
                    "rows/s",
                    against: ("COPY into the same table, empty", copy)
                ),
            ]
            try table.show(reader)
        }
    }

    private static func append(_ stage: StreamStage, _ bundle: ModelBundle, _ count: Int, eventCount: UInt64)
        async throws
    {
        for start in stride(from: 0, to: count, by: 2_000) {
            let records = try (start..<min(start + 2_000, count)).map { index in
                let user = "user-\(index)"
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
                    eventTime: WallClock.milliseconds,
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
    private static func write(_ stage: StreamStage, _ total: Int, _ count: Int) async throws -> Double {
        let writer = try await stage.start("embedding-writer")
        let before = try await stage.metric("userllm_embedding_writer_rows_written_total", of: writer)
        let time = try await seconds {
            try await poll("all rows are written", within: .seconds(1_800), every: .milliseconds(50)) {
                try await stage.metric("userllm_embedding_writer_rows_written_total", of: writer) >= Double(count)
            }
        }
        await writer.child.stop(signal: SIGTERM, patience: .seconds(30))
        let found = try await stage.psql("SELECT count(*), min(event_count) FROM user_embeddings")
        guard found == "\(count)|\(total / count)" else { throw ProcessFailure("the table has \(found)") }
        return (Double(count) - before) / time
    }

    /// Rows a second of `COPY` in binary into a table with the same columns, checks and index.
    private static func copy(_ stage: StreamStage, _ count: Int) async throws -> Double {
        let file = "\(stage.folder)/rows"
        try await stage.psql("\\copy user_embeddings TO '\(file)' (FORMAT binary)")
        var rates: [Double] = []
        for round in 0..<3 {
            try await stage.psql("CREATE TABLE copied_\(round) (LIKE user_embeddings INCLUDING ALL)")
            let time = try await seconds {
                try await stage.psql("\\copy copied_\(round) FROM '\(file)' (FORMAT binary)")
            }
            rates.append(Double(count) / time)
        }
        return median(rates)
    }
}
