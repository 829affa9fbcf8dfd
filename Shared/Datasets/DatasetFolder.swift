internal import Foundation

/// A data set on disk in any form that can be read.
///
/// - `movies.dat` and `ratings.dat`, or `movies.csv` and `ratings.csv`: MovieLens.
/// - `events.ndjson` with `catalogue.json`: our own events and items.
public enum DatasetFolder: Sendable {
    /// A MovieLens data set.
    case movieLens(MovieLensFolder)
    /// Our own events and items.
    case events(path: String)

    /// Finds out what a folder holds.
    ///
    /// - Throws: `DatasetError` when there is no folder, or nothing in it that can be read.
    public init(path: String) throws(DatasetError) {
        func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }
        if has("events.ndjson"), has("catalogue.json") {
            self = .events(path: path)
            return
        }
        guard FolderCheck.isFolder(path), has("events.ndjson"), !has("movies.csv"), !has("movies.dat") else {
            self = .movieLens(try MovieLensFolder(path: path))
            return
        }
        throw DatasetError(
            file: path + "/catalogue.json",
            reason:
                #"does not exist; events.ndjson needs it: {"items": [{"id": ..., "title": ..., "categories": [...]}]}"#
        )
    }

    /// Reads the data set and makes it ready for training.
    ///
    /// - Parameter skipsBadLines: whether a bad line or an event of an unknown item is left out and counted.
    /// - Returns: the data, users in the order they first occur.
    /// - Throws: `DatasetError` naming file, line, field and value.
    public func prepared(skipsBadLines: Bool = false) throws(DatasetError) -> PreparedDataset {
        switch self {
        case .movieLens(let folder):
            var reader = try folder.events(skipsBadLines: skipsBadLines)
            return try Self.prepared(
                &reader,
                file: folder.ratingsPath,
                catalogue: try folder.catalogue(skipsBadLines: skipsBadLines),
                skipsBadLines: skipsBadLines
            )
        case .events(let path):
            let file = path + "/events.ndjson"
            var reader = try NDJSONEventReader(path: file, skipsBadLines: skipsBadLines)
            return try Self.prepared(
                &reader,
                file: file,
                catalogue: try Catalogue(contentsOf: path + "/catalogue.json"),
                skipsBadLines: skipsBadLines
            )
        }
    }

    private static func prepared(
        _ reader: inout some EventReader,
        file: String,
        catalogue: Catalogue,
        skipsBadLines: Bool
    ) throws(DatasetError) -> PreparedDataset {
        do throws(DatasetError) {
            return try PreparedDataset(reading: &reader, catalogue: catalogue, skipsBadLines: skipsBadLines)
        } catch {
            var error = error
            error.file = error.file ?? file
            throw error
        }
    }
}
