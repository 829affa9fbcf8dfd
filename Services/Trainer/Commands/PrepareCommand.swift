import Bytes
import Catalogues
import Datasets
import Foundation
import ServiceRuntime

/// `trainer prepare`: reads a data set and prepares it for training.
enum PrepareCommand {
    static let format = ConfigurationKey<String>(
        "format",
        default: "auto",
        help: (["auto"] + DatasetFormat.allCases.map(\.rawValue)).joined(separator: ", "),
        expectation: "one of auto, " + DatasetFormat.allCases.map(\.rawValue).joined(separator: ", ")
    ) { $0 == "auto" || DatasetFormat(rawValue: $0) != nil }

    static let metadata = ConfigurationKey<String>(
        "metadata",
        help: "The file with the items' titles and categories; by default looked for beside the events"
    )

    static let minimumUserEvents = ConfigurationKey<Int>(
        "minimum-user-events",
        default: 1,
        in: 1...1_000_000,
        unit: "events",
        help: "Leave out users with fewer; in turn with rare items, until all that are left have enough (k-core)"
    )

    static let minimumItemEvents = ConfigurationKey<Int>(
        "minimum-item-events",
        default: 1,
        in: 1...1_000_000,
        unit: "events",
        help: "Leave out items with fewer"
    )

    static let dropDuplicates = ConfigurationKey<Bool>(
        "drop-duplicates",
        default: false,
        help: "Of events of one user, item and time keep the first in the file, whatever its rating; else all count"
    )

    static let reviews = ConfigurationKey<Bool>(
        "reviews",
        default: false,
        help: "Keep what users wrote about items, for training the task review; else it is not read"
    )

    static let reviewBytes = ConfigurationKey<Int>(
        "review-bytes",
        default: 2_000,
        in: 16...65_536,
        unit: "bytes",
        help: "How much of a review is kept, with --reviews"
    )

    /// Keys that decide which data are read, and how; also keys of `trainer all`.
    static let keys: [any AnyConfigurationKey] = [
        format, metadata, minimumUserEvents, minimumItemEvents, dropDuplicates, TrainerKeys.skipBadLines, reviews,
        reviewBytes,
    ]

    static var command: Command {
        Command(
            "prepare",
            summary: "Read a data set and write it ready for training",
            arguments: [
                CommandArgument("data", help: "The folder of the data set, or its file of events"),
                CommandArgument("prepared", help: "The folder to write"),
            ],
            keys: keys,
            work: "preparation"
        ) { context in
            let reader = context.configuration
            let (data, prepared) = (try context.required("data"), try context.required("prepared"))
            let settings = try Settings(reader)
            return { _ in try report(prepare(data, into: prepared, settings)) }
        }
    }

    /// How a data set is read.
    struct Settings: Sendable {
        var format: DatasetFormat?
        var metadata: String?
        var options = PreparationOptions()

        /// By default detects the format, and leaves nothing out.
        init(format: DatasetFormat? = nil, options: PreparationOptions = PreparationOptions()) {
            self.format = format
            self.options = options
        }

        init(_ reader: ConfigurationReader) throws(ConfigurationError) {
            format = DatasetFormat(rawValue: try reader.value(of: PrepareCommand.format))
            metadata = try reader.optionalValue(of: PrepareCommand.metadata)
            options.skipsBadLines = try reader.value(of: TrainerKeys.skipBadLines)
            options.minimumUserEvents = try reader.value(of: PrepareCommand.minimumUserEvents)
            options.minimumItemEvents = try reader.value(of: PrepareCommand.minimumItemEvents)
            options.dropsDuplicates = try reader.value(of: PrepareCommand.dropDuplicates)
            let keepsReviews = try reader.value(of: PrepareCommand.reviews)
            guard keepsReviews || !reader.isSet(reviewBytes) else {
                throw ConfigurationError.usage("--\(reviewBytes.name) goes with --\(PrepareCommand.reviews.name)")
            }
            options.reviewByteCount = keepsReviews ? try reader.value(of: reviewBytes) : nil
        }
    }

    /// Reads a data set and writes it into a folder.
    static func prepare(
        _ data: String,
        into folder: String,
        _ settings: Settings = Settings()
    ) throws -> PreparedDataset {
        let source = try DatasetFolder(path: data, format: settings.format, metadata: settings.metadata)
        if source.metadataPath == nil {
            say(
                "no file with titles was found beside \(source.eventsPath): items are called by their ids and have no "
                    + "categories; name the file with --metadata if there is one"
            )
        }
        if source.isDoubtful {
            say("\(source.eventsPath) is taken for sequences of users and items, and may as well be text: look at it")
        }
        if !source.passedOver.isEmpty {
            say("passed over beside \(source.eventsPath): \(source.passedOver.joined(separator: ", "))")
        }
        var bars = StageBars()
        let dataset = try source.prepared(settings.options) { bars.show($0) }
        bars.finish()
        say("writing \(folder)")
        try dataset.write(to: folder)
        return dataset
    }

    /// Prints a message for people.
    static func say(_ text: String) { Notice.say("prepare: \(text)") }

    /// A progress bar for each file that is read.
    private struct StageBars {
        private var stage = ""
        private var bar: ProgressBar?

        mutating func show(_ progress: PreparationProgress) {
            if progress.stage != stage {
                finish()
                stage = progress.stage
                bar = ProgressBar(stage, total: progress.byteCount, unit: "bytes")
            }
            bar?.update(progress.bytesRead, note: "\(progress.events) events")
        }

        mutating func finish() {
            bar?.finish()
            bar = nil
        }
    }

    /// A summary of a prepared data set.
    static func report(_ dataset: PreparedDataset) -> Report {
        let origin = dataset.origin
        var report = Report()
        report.add("format", origin.format)
        report.add("users", dataset.users.count)
        report.add("items", dataset.catalogue.count)
        report.add("events", dataset.eventCount)
        if dataset.hasReviews { report.add("reviews", dataset.reviewCount) }
        report.add("categories", dataset.catalogue.categories.count)
        report.add("skipped_lines", dataset.skippedLines)
        report.add("removed_users", origin.removedUsers)
        report.add("removed_items", origin.removedItems)
        report.add("removed_events", origin.removedEvents)
        report.add("items_without_title", origin.untitledItems)
        report.add("items_of_shared_titles", sharedTitleItems(dataset.catalogue))
        report.add("users_without_test", dataset.users.count - dataset.evaluatedUsers.count)
        report.add("data_hash", dataset.dataHash)
        report.add("reading", origin.counts)
        return report
    }
    /// How many items have a title that another item has too; an answer that is such a title names all of them.
    static func sharedTitleItems(_ catalogue: Catalogue) -> Int {
        Dictionary(grouping: catalogue.items) { TextKey($0.title) }.values.reduce(0) { count, items in
            count + (items.count > 1 ? items.count : 0)
        }
    }
}
