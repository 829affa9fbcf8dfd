import Datasets
import Foundation
import ServiceRuntime
import Tensors
import UserModels

/// `trainer encode`: writes every user's embedding to a file.
enum EncodeCommand {
    private static let rows = ConfigurationKey<TimelineEncoding.Rows>(
        "rows",
        default: .last,
        help: "What is written of a user: last (the state after the last event, one vector) or events (a vector for "
            + "each of the last events)"
    )
    private static let format = ConfigurationKey<Format>(
        "format",
        help: "safetensors (tensors embeddings and events, user ids in its notes) or ndjson (an object per user); by "
            + "default what the file's name ends with"
    )

    /// The formats of an embeddings file.
    enum Format: String, CaseIterable, Sendable, ConfigurationValue {
        case safetensors
        case ndjson
    }

    static var command: Command {
        Command(
            "encode",
            summary: "Write every user's embedding, by a trained encoder, into a file",
            arguments: [
                TrainerKeys.prepared,
                CommandArgument("run", help: "The folder of the encoder's training"),
                CommandArgument("out", help: "The file to write, such as users.safetensors or users.ndjson"),
            ],
            keys: [rows, format, TrainerKeys.threads],
            work: "encoding"
        ) { context in
            let reader = context.configuration
            let (prepared, run) = (try context.required("prepared"), try context.required("run"))
            let out = try context.required("out")
            let format = try reader.optionalValue(of: format)
            guard let format = format ?? Format(rawValue: URL(fileURLWithPath: out).pathExtension) else {
                throw ConfigurationError.usage(
                    "OUT \"\(out)\" ends with neither .safetensors nor .ndjson: name it so, or give --format"
                )
            }
            let rows = try reader.value(of: rows)
            let threads = try reader.value(of: TrainerKeys.threads)
            return { shutdown in
                let dataset = try PreparedDataset(contentsOf: prepared)
                let encoding = TimelineEncoding(
                    encoder: try RunFolder.encoder(run, dataset: dataset),
                    dataset: dataset,
                    rows: rows,
                    threads: threads
                )
                return try encode(encoding, run: run, to: out, format, until: shutdown)
            }
        }
    }

    /// Encodes all users into a file, which is written completely or not at all.
    ///
    /// - Parameters:
    ///   - encoding: the encoder and the users.
    ///   - run: the folder of the encoder's training run.
    ///   - path: the output file.
    ///   - format: the file's format.
    ///   - shutdown: stops the work early.
    /// - Returns: the number of users, and the speed.
    /// - Throws: if the file cannot be written, or the work was stopped early.
    static func encode(
        _ encoding: TimelineEncoding,
        run: String,
        to path: String,
        _ format: Format,
        until shutdown: Shutdown
    ) throws -> Report {
        let start = ContinuousClock.now
        let dataset = encoding.dataset
        let commit = SourceCommit.current
        let bestStep = try RunFolder.bestState(run).step
        let bar = ProgressBar("encoding", total: dataset.users.count, unit: "users")
        var encodingSeconds = 0.0
        try DurableFile.write(to: path) { temporary in
            var file: any EmbeddingFile =
                switch format {
                case .ndjson: try NDJSONEmbeddings(path: temporary, encoding)
                case .safetensors:
                    try SafeTensorsEmbeddings(
                        path: temporary,
                        encoding,
                        notes: ["data_hash": dataset.dataHash, "best_step": "\(bestStep)", "commit": commit]
                    )
                }
            var done = 0
            encodingSeconds = try encoding.encode { batch in
                try file.append(batch)
                done += batch.count
                bar.update(done)
                return !shutdown.isRequested
            }
            guard done == dataset.users.count else {
                throw ProcessFailure(
                    "interrupted after \(done) of \(dataset.users.count) users; \(path) was not written",
                    exitCode: .interrupted
                )
            }
            try file.finish()
        }
        bar.finish()
        var report = Report()
        report.add("file", path)
        report.add("rows", encoding.rows.rawValue)
        report.add("users", dataset.users.count)
        report.add("width", encoding.encoder.configuration.width)
        report.add("length", encoding.encoder.configuration.length)
        report.add("data_hash", dataset.dataHash)
        report.add("best_step", bestStep)
        report.add("timelines_per_second", Double(dataset.users.count) / max(encodingSeconds, 1e-9))
        report.add("seconds", (ContinuousClock.now - start).inSeconds)
        report.add("commit", commit)
        return report
    }
}

extension TimelineEncoding.Rows: ConfigurationValue {}
