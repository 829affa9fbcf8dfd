internal import Foundation

/// A data set on disk in any form that can be read.
public struct DatasetFolder: Sendable {
    /// Its form.
    public let format: DatasetFormat
    /// The file with the events.
    public let eventsPath: String
    /// The file with titles and categories of the items; nil when there is none.
    public let metadataPath: String?
    let kind: FileKind

    /// Finds out what a folder holds, or what goes with a file of events.
    ///
    /// - Parameters:
    ///   - path: the folder of the data set, or its file with events.
    ///   - format: the form; nil to find it out.
    ///   - metadata: the file with titles and categories; nil to look for it beside the events.
    /// - Throws: `DatasetError` when there is nothing that can be read, or more than one thing.
    public init(path: String, format: DatasetFormat? = nil, metadata: String? = nil) throws(DatasetError) {
        let isFolder = FolderCheck.isFolder(path)
        guard isFolder || FileManager.default.fileExists(atPath: path) else {
            throw DatasetError(
                file: path,
                reason: "does not exist; give the folder of a data set, or its file of events"
            )
        }
        let folder = isFolder ? path : (path as NSString).deletingLastPathComponent
        (eventsPath, kind) =
            isFolder ? try Self.events(in: path, format) : (path, try Self.kind(of: path, format))
        guard let found = kind.format else { throw Self.nothing(at: path, format) }
        self.format = found
        guard let metadata else {
            metadataPath = try Self.metadata(of: eventsPath, kind, in: folder.isEmpty ? "." : folder)
            return
        }
        guard FileManager.default.fileExists(atPath: metadata) else {
            throw DatasetError(file: metadata, reason: "does not exist; give the file with the items' titles")
        }
        metadataPath = metadata
    }

    /// Whether its events have times; else a reader gives them times that keep their order.
    public var hasTimes: Bool { kind != .sequences }

    /// A reader of the events, in the file's order.
    ///
    /// - Parameters:
    ///   - position: where to go on.
    ///   - skipsBadLines: whether a bad line is left out and counted.
    ///   - readsText: whether what users wrote is wanted too.
    /// - Returns: the reader, at the first event after the position.
    /// - Throws: `DatasetError` when the file cannot be opened.
    public func events(
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false,
        readsText: Bool = true
    ) throws(DatasetError) -> any EventReader {
        func reviews(_ fields: ReviewParser.Fields) throws(DatasetError) -> any EventReader {
            try EventLines(
                eventsPath,
                ReviewParser(fields, readsText: readsText),
                from: position,
                skipsBadLines: skipsBadLines
            )
        }
        switch kind {
        case .movieLensRatings:
            return try MovieLensEventReader(path: eventsPath, from: position, skipsBadLines: skipsBadLines)
        case .amazon2014Reviews: return try reviews(.amazon2014)
        case .amazon2023Reviews: return try reviews(.amazon2023)
        case .googleLocalReviews: return try reviews(.googleLocal)
        case .sequences: return try SequenceEventReader(eventsPath, from: position, skipsBadLines: skipsBadLines)
        default: return try NDJSONEventReader(path: eventsPath, from: position, skipsBadLines: skipsBadLines)
        }
    }

    // MARK: - Finding files

    private static func files(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().filter { !$0.hasPrefix(".") && !FolderCheck.isFolder("\(folder)/\($0)") }
    }

    /// Whether a file may hold events or metadata, by its name.
    private static func isCandidate(_ name: String) -> Bool {
        let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
        guard !plain.lowercased().hasPrefix("readme") else { return false }
        return [".json", ".jsonl", ".ndjson", ".txt"].contains(where: plain.hasSuffix)
    }

    private static func events(
        in folder: String,
        _ format: DatasetFormat?
    ) throws(DatasetError) -> (String, FileKind) {
        func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)/\(name)") }
        func isWanted(_ one: DatasetFormat) -> Bool { format == nil || format == one }
        for name in ["events.ndjson", "events.ndjson.gz"] where isWanted(.ndjson) && has(name) {
            // The synthetic world is written in both forms; ours is the one that says more.
            if has("catalogue.json") || !isWanted(.movieLens) || MovieLensFolder.find("ratings", in: folder) == nil {
                return ("\(folder)/\(name)", .events)
            }
        }
        if isWanted(.movieLens) {
            if let ratings = MovieLensFolder.find("ratings", in: folder) { return (ratings, .movieLensRatings) }
            if format == .movieLens || MovieLensFolder.find("movies", in: folder) != nil {
                return (try MovieLensFolder(path: folder).ratingsPath, .movieLensRatings)
            }
        }
        var found: [(path: String, kind: FileKind)] = []
        for name in files(in: folder) where isCandidate(name) {
            let kind = try FileKind(ofFile: "\(folder)/\(name)", wanted: format)
            if let one = kind.format, isWanted(one) { found.append(("\(folder)/\(name)", kind)) }
        }
        guard let first = found.first else { throw nothing(at: folder, format) }
        guard found.count == 1 else {
            throw DatasetError(
                file: folder,
                reason: "holds several files of events: "
                    + found.map { "\($0.path.split(separator: "/").last ?? "") (\($0.kind.format?.rawValue ?? ""))" }
                    .joined(separator: ", ") + "; give the path of one of them"
            )
        }
        return first
    }

    private static func kind(of file: String, _ format: DatasetFormat?) throws(DatasetError) -> FileKind {
        // Names do not tell sequences from other text, and of events even the first line may be wrong.
        switch format {
        case .sequences: return .sequences
        case .ndjson: return .events
        case .movieLens: return .movieLensRatings
        default: break
        }
        var kind = try FileKind(ofFile: file, wanted: format)
        // What is called so is meant so, and the reader says what is wrong with its first line.
        switch format {
        case .amazon where kind == .unknown: kind = .amazon2023Reviews
        case .googleLocal where kind == .unknown: kind = .googleLocalReviews
        case nil where kind == .unknown && (file.hasSuffix(".ndjson") || file.hasSuffix(".ndjson.gz")): kind = .events
        default: break
        }
        guard let found = kind.format, format == nil || format == found else { throw nothing(at: file, format) }
        return kind
    }

    private static func nothing(at path: String, _ format: DatasetFormat?) -> DatasetError {
        let wanted = format.map { "no data set of the format \($0.rawValue)" } ?? "no data set that can be read"
        return DatasetError(file: path, reason: "holds \(wanted); looked for: \(DatasetFormat.expectation)")
    }

    /// The file that describes the items, in the same folder.
    private static func metadata(
        of events: String,
        _ kind: FileKind,
        in folder: String
    ) throws(DatasetError) -> String? {
        switch kind {
        case .movieLensRatings: return MovieLensFolder.moviesPath(beside: events)
        case .events:
            let path = "\(folder)/catalogue.json"
            return FileManager.default.fileExists(atPath: path) ? path : nil
        default: break
        }
        var found: [String] = []
        for name in files(in: folder) where isCandidate(name) && "\(folder)/\(name)" != events {
            // A file that cannot be read and is not needed is no reason to stop.
            if let one = try? FileKind(ofFile: "\(folder)/\(name)"), one == kind.metadata { found.append(name) }
        }
        if found.count > 1 {
            let subject = subject(of: events)
            let matching = found.filter { Self.subject(of: $0) == subject }
            guard matching.count == 1 else {
                throw DatasetError(
                    file: folder,
                    reason: "holds several files of metadata: \(found.joined(separator: ", ")); "
                        + "name the one of \(events.split(separator: "/").last ?? "") with --metadata"
                )
            }
            found = matching
        }
        return found.first.map { "\(folder)/\($0)" }
    }

    /// What a file is about, as published names tell it: `reviews_Beauty_5.json.gz` and `meta_Beauty.json.gz` are about
    /// `beauty`, `review-Vermont_10.json.gz` and `meta-Vermont.json.gz` about `vermont`.
    static func subject(of path: String) -> String {
        var name = (path.split(separator: "/").last.map(String.init) ?? path).lowercased()
        for suffix in [".gz", ".jsonl", ".ndjson", ".json", ".txt", "_5", "_10"] where name.hasSuffix(suffix) {
            name.removeLast(suffix.count)
        }
        for prefix in ["reviews", "review", "metadata", "meta"] where name.hasPrefix(prefix) {
            name.removeFirst(prefix.count)
            break
        }
        return name.trimmingCharacters(in: CharacterSet(charactersIn: "-_"))
    }
}
