import Datasets
import ServiceRuntime

/// `trainer prepare`: reads a data set and writes it ready for training.
enum PrepareCommand {
    static let format = ConfigurationKey<String>(
        "format",
        default: "auto",
        help: "movielens, ndjson (events.ndjson and catalogue.json), or auto",
        expectation: "auto, movielens or ndjson"
    ) { ["auto", "movielens", "ndjson"].contains($0) }

    static var command: Command {
        Command(
            "prepare",
            summary: "Read a data set and write it ready for training",
            arguments: [
                CommandArgument("data", help: "The folder of the data set"),
                CommandArgument("prepared", help: "The folder to write"),
            ],
            keys: [format, TrainerKeys.skipBadLines, TrainerKeys.json],
            run: { context in
                let reader = context.configuration
                let (data, prepared) = (try context.required("data"), try context.required("prepared"))
                let format = try reader.value(of: format)
                let skipsBadLines = try reader.value(of: TrainerKeys.skipBadLines)
                let json = try reader.value(of: TrainerKeys.json)
                try await context.compute("preparation") { _ in
                    let dataset = try prepare(data, into: prepared, format: format, skipsBadLines: skipsBadLines)
                    try report(dataset).print(json: json)
                }
            }
        )
    }

    /// Reads a data set and writes it into a folder.
    static func prepare(
        _ data: String,
        into folder: String,
        format: String,
        skipsBadLines: Bool
    ) throws -> PreparedDataset {
        let dataset = try read(data, format: format, skipsBadLines: skipsBadLines)
        try dataset.write(to: folder)
        return dataset
    }

    private static func read(_ data: String, format: String, skipsBadLines: Bool) throws -> PreparedDataset {
        let folder =
            switch format {
            case "ndjson": DatasetFolder.events(path: data)
            case "movielens": DatasetFolder.movieLens(try MovieLensFolder(path: data))
            default: try DatasetFolder(path: data)
            }
        return try folder.prepared(skipsBadLines: skipsBadLines)
    }

    /// What a prepared data set holds.
    static func report(_ dataset: PreparedDataset) -> Report {
        var report = Report()
        report.add("users", dataset.users.count)
        report.add("items", dataset.catalogue.count)
        report.add("events", dataset.eventCount)
        report.add("categories", dataset.catalogue.categories.count)
        report.add("skipped_lines", dataset.skippedLines)
        report.add("data_hash", dataset.dataHash)
        return report
    }
}
