import Datasets
import Files
import ServiceRuntime

/// A file of events, and the order in which they are sent.
struct ImportSource: Sendable {
    /// The file with the events.
    let file: String
    /// The file's size on the disk.
    let byteCount: Int
    /// Its format.
    let format: String
    /// The order in which its events are sent.
    let order: ImportConfiguration.Order
    /// The reason for this order.
    let reason: String
    let dataset: DatasetFolder
    let skipsBadLines: Bool
    /// Memory for sorting, in bytes.
    let sortMemory: Int
    /// The folder for sorting on disk.
    let sortFolder: String

    init(_ configuration: ImportConfiguration) throws {
        dataset = try DatasetFolder(path: configuration.path, format: configuration.format.dataset)
        file = dataset.eventsPath
        format = dataset.format.rawValue
        skipsBadLines = configuration.skipsBadLines
        sortMemory = configuration.sortMemory
        sortFolder = ImportConfiguration.sortFolder(state: configuration.statePath(for: file))
        byteCount = try InputFile(file).byteCount
        switch configuration.order {
        case .time where !dataset.hasTimes:
            guard !configuration.isOrderGiven else {
                throw ProcessFailure(
                    "\(file) has no times (\(format)), so its events have no other order than the file's: leave --order out, "
                        + "or say --order file",
                    exitCode: .usage
                )
            }
            order = .file
            reason = "as they stand in the file: a set of the format \(format) has no times"
        case .time:
            order = .time
            reason = "by time, those of one time as in the file: each user's as trainer prepare has them"
        case .file:
            order = .file
            reason =
                dataset.hasTimes
                ? "as they stand in the file, as asked; trainer prepare has each user's by time"
                : "as they stand in the file, as asked"
        case .interleaved:
            order = .interleaved
            reason = "all users at once, each one's events by time, as asked"
        }
    }

    /// Opens the events.
    func events(from position: ReadPosition) throws(DatasetError) -> any EventReader {
        try dataset.events(from: position, skipsBadLines: skipsBadLines)
    }

    /// Makes a sorter that may use a share of the memory.
    func sorter(share: Int) -> ExternalSorter {
        // Captured now: later it may be needed on a thread that has no task.
        let stop = InputFile.stop
        return ExternalSorter(
            memory: max(4_096, sortMemory / share),
            folder: sortFolder,
            isStopped: { stop?.isDue() == true }
        )
    }
}
