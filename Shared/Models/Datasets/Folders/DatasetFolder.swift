internal import Foundation

/// A data set on disk in any supported format.
public struct DatasetFolder: Sendable {
    /// The format of the data set.
    public let format: DatasetFormat
    /// The events file.
    public let eventsPath: String
    /// The file with titles and categories of the items; nil when there is none.
    public let metadataPath: String?
    /// Names of the files in the folder that could hold events by their names but are not read, with the reason where
    /// they look like data.
    public let passedOver: [String]
    /// Whether the supposed sequences could also be prose: nearly all ids contain a digit, and these do not.
    public let isDoubtful: Bool
    let kind: FileKind

    /// Detects the contents of a folder, or the files that belong to an events file.
    ///
    /// - Parameters:
    ///   - path: the folder of the data set, or its events file.
    ///   - format: the format; nil to detect it.
    ///   - metadata: the file with titles and categories; nil to look for it next to the events.
    /// - Throws: `DatasetError` when nothing can be read, or the choice is ambiguous.
    public init(path: String, format: DatasetFormat? = nil, metadata: String? = nil) throws(DatasetError) {
        let isFolder = FolderCheck.isFolder(path)
        guard isFolder || FileManager.default.fileExists(atPath: path) else {
            throw DatasetError(
                file: path,
                reason: "does not exist; give the folder of a data set, or its file of events"
            )
        }
        let folder = isFolder ? path : (path as NSString).deletingLastPathComponent
        let found = isFolder ? try Self.events(in: path, format) : Found(path, try Self.kind(of: path, format))
        guard let foundFormat = found.kind.format else { throw Self.nothing(at: path, format) }
        (eventsPath, kind, self.format) = (found.path, found.kind, foundFormat)
        isDoubtful = found.isDoubtful
        guard let metadata else {
            metadataPath = try Self.metadata(of: found.path, found.kind, in: folder.isEmpty ? "." : folder)
            passedOver = found.passedOver.filter { [name = metadataPath] in name?.hasSuffix("/" + $0) != true }
            return
        }
        guard FileManager.default.fileExists(atPath: metadata) else {
            throw DatasetError(file: metadata, reason: "does not exist; give the file with the items' titles")
        }
        metadataPath = metadata
        passedOver = found.passedOver
    }

    /// Whether its events have times; otherwise a reader assigns times that keep their order.
    public var hasTimes: Bool {
        switch kind {
        case .sequences: false
        case .table(let layout): layout[.time] != nil
        default: true
        }
    }

    /// Whether its events may have the texts that users wrote.
    public var hasReviews: Bool {
        switch kind {
        case .amazon2014Reviews, .amazon2023Reviews, .googleLocalReviews, .events: true
        default: false
        }
    }

    /// A reader of the events, in the file's order.
    ///
    /// - Parameters:
    ///   - position: where to resume.
    ///   - skipsBadLines: whether bad lines are skipped and counted.
    ///   - readsText: whether the text that users wrote is read too.
    ///   - readsSummary: whether that text begins with the summary that some data sets have.
    /// - Returns: the reader, at the first event after the position.
    /// - Throws: `DatasetError` when the file cannot be opened.
    public func events(
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false,
        readsText: Bool = true,
        readsSummary: Bool = true
    ) throws(DatasetError) -> any EventReader {
        func reviews(_ fields: ReviewParser.Fields) throws(DatasetError) -> any EventReader {
            try EventLines(
                eventsPath,
                ReviewParser(fields, readsText: readsText, readsSummary: readsSummary),
                from: position,
                skipsBadLines: skipsBadLines
            )
        }
        switch kind {
        case .table(let layout):
            return try MovieLensEventReader(eventsPath, layout, from: position, skipsBadLines: skipsBadLines)
        case .amazon2014Reviews: return try reviews(.amazon2014)
        case .amazon2023Reviews: return try reviews(.amazon2023)
        case .googleLocalReviews: return try reviews(.googleLocal)
        case .sequences: return try SequenceEventReader(eventsPath, from: position, skipsBadLines: skipsBadLines)
        default: return try NDJSONEventReader(path: eventsPath, from: position, skipsBadLines: skipsBadLines)
        }
    }
}
