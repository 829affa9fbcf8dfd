internal import Foundation

/// A data set on disk in any form that can be read.
public struct DatasetFolder: Sendable {
    /// Its form.
    public let format: DatasetFormat
    /// The file with the events.
    public let eventsPath: String
    /// The file with titles and categories of the items; nil when there is none.
    public let metadataPath: String?
    /// Names of the files in the folder that might have held events by their names and are not read; with why, where
    /// they look like data.
    public let passedOver: [String]
    /// Whether what is taken for sequences may as well be text for people: nearly all ids have a digit, and these have not.
    public let isDoubtful: Bool
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

    /// Whether its events have times; else a reader gives them times that keep their order.
    public var hasTimes: Bool {
        switch kind {
        case .sequences: false
        case .table(let layout): layout[.time] != nil
        default: true
        }
    }

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
