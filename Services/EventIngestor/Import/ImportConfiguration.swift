import Datasets
import Bytes
import Foundation
import ServiceRuntime

/// Settings of `event-ingestor import`.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `format` (`auto`, `movielens`, `amazon`, `google-local`, `recbole`, `csv`, `sequences`, `ndjson`; `auto`): the
///   file's format; `auto` detects it from the name and the first lines.
/// - `order` (`time`, `file`, `interleaved`; `time`, or `file` for a data set without times): the order in which events
///   are sent.
/// - `sort-memory` (integer, 256 MB): memory for sorting; anything beyond it is sorted on disk, in the folder `TMPDIR`,
///   or next to the state if that is not set.
/// - `rate` (number, 0): events per second; 0 is as fast as the log takes them.
/// - `batch-events` (integer, 5,000): events per append.
/// - `state` (text, next to the file): where the import's progress is kept.
/// - `skip-bad-lines` (flag, false): skips and counts lines that cannot be read.
/// - `send-again` (flag, false): also sends content that was already sent to the log from another file, or with another
///   state.
struct ImportConfiguration: Sendable {
    /// The format of a file, or that it is to be detected.
    struct Format: ConfigurationValue {
        /// The format; nil to detect it.
        let dataset: DatasetFormat?

        static let automatic = Format(dataset: nil)
        private static let automaticName = "auto"
        private static let names = [automaticName] + DatasetFormat.allCases.map(\.rawValue)

        static var typeDescription: String { names.joined(separator: "|") }
        static var expectedText: String { "one of " + names.joined(separator: ", ") }
        var configurationText: String { dataset?.rawValue ?? Self.automaticName }

        private init(dataset: DatasetFormat?) { self.dataset = dataset }

        init?(configurationText: String) {
            dataset = DatasetFormat(rawValue: configurationText)
            guard dataset != nil || configurationText == Self.automaticName else { return nil }
        }
    }

    /// The order in which events are sent.
    enum Order: String, CaseIterable, ConfigurationValue {
        /// By time, ties in file order, so that each user's events are in the same order as in `trainer prepare`.
        case time
        /// In file order.
        case file
        /// Each user's first event, then each user's second, and so on, each user's events in time order.
        case interleaved
    }

    /// The most events per append.
    static let largestBatch = 50_000

    private static let formatKey = ConfigurationKey<Format>("format", default: .automatic, help: "What the file holds")
    private static let orderKey = ConfigurationKey<Order>(
        "order",
        default: .time,
        help:
            "time: by time, as trainer prepare has each user's; file: as they stand there, the default without times; "
            + "interleaved: all users at once, each one's by time"
    )
    private static let memoryKey = ConfigurationKey<Int>(
        "sort-memory",
        default: 256,
        in: 1...65_536,
        unit: "MB",
        help: "What sorting may take; more is sorted on the disk, in TMPDIR or beside the state"
    )
    private static let rateKey = ConfigurationKey<Double>(
        "rate",
        default: 0,
        in: 0...10_000_000,
        unit: "events per second",
        help: "How fast to send; 0 is as fast as the log takes them"
    )
    private static let batchKey = ConfigurationKey<Int>(
        "batch-events",
        default: 5_000,
        in: 1...largestBatch,
        unit: "events",
        help: "Events that are appended together"
    )
    private static let stateKey = ConfigurationKey<String>(
        "state",
        help: "The file that keeps how far the import is; by default beside the events"
    )
    private static let skipKey = ConfigurationKey<Bool>(
        "skip-bad-lines",
        default: false,
        help: "Leaves out and counts lines that cannot be read, instead of stopping there"
    )

    private static let againKey = ConfigurationKey<Bool>(
        "send-again",
        default: false,
        help: "Also sends what was sent to the log before from another file, or by another state"
    )

    /// Every key of the command.
    static let keys: [any AnyConfigurationKey] = [
        CommonKeys.log, formatKey, orderKey, memoryKey, rateKey, batchKey, stateKey, skipKey, againKey,
    ]

    /// The file or folder as given.
    let path: String
    let log: String
    let format: Format
    let order: Order
    /// Whether the order was set explicitly; otherwise a data set without times is sent in file order.
    let isOrderGiven: Bool
    /// Memory for sorting, in bytes.
    var sortMemory: Int
    let rate: Double
    let batchCount: Int
    let skipsBadLines: Bool
    /// Whether events are sent even if the same content was sent before.
    let sendsAgain: Bool
    private let state: String?

    /// Reads the keys.
    init(path: String, reader: ConfigurationReader) throws(ConfigurationError) {
        self.path = path
        log = try reader.value(of: CommonKeys.log)
        format = try reader.value(of: Self.formatKey)
        order = try reader.value(of: Self.orderKey)
        isOrderGiven = reader.isSet(Self.orderKey)
        sortMemory = try reader.value(of: Self.memoryKey) << 20
        rate = try reader.value(of: Self.rateKey)
        batchCount = try reader.value(of: Self.batchKey)
        state = try reader.optionalValue(of: Self.stateKey)
        skipsBadLines = try reader.value(of: Self.skipKey)
        sendsAgain = try reader.value(of: Self.againKey)
    }

    /// Where the import's progress is kept: one file per log.
    func statePath(for file: String) -> String { state ?? file + stateSuffix }

    /// Whether a path for the state was given.
    var isStateNamed: Bool { state != nil }

    /// Whether a state has the name that this log address gives it.
    func isOfSameAddress(state path: String) -> Bool { path.hasSuffix(stateSuffix) }

    private var stateSuffix: String { ".import-\(Self.target(Redaction.address(log)))" }

    /// The file that a state belongs to, by the state's name; nil if that is not the name of a state.
    static func file(ofState path: String) -> String? {
        let suffix = path.suffix(".import-".count + targetLength)
        guard suffix.hasPrefix(".import-"), suffix.count < path.count,
            suffix.dropFirst(".import-".count).utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
        else { return nil }
        return String(path.dropLast(suffix.count))
    }

    /// Where earlier versions kept the progress: one file per log and order.
    func earlierStatePaths(for file: String) -> [String] {
        guard state == nil else { return [] }
        return ["file", "interleaved"].map { "\(file).import-\(Self.target("\(Redaction.address(log))\n\($0)"))" }
    }

    private static let targetLength = 8
    private static func target(_ text: String) -> Substring {
        SHA256.hexDigest(of: Array(text.utf8)).prefix(targetLength)
    }

    /// The folder for sorting on disk.
    static func sortFolder(state: String) -> String {
        if let folder = ProcessInfo.processInfo.environment["TMPDIR"], !folder.isEmpty { return folder }
        return folder(of: state)
    }

    /// The folder that contains a file.
    static func folder(of path: String) -> String {
        let folder = (path as NSString).deletingLastPathComponent
        return folder.isEmpty ? "." : folder
    }
}
