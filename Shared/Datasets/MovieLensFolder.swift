internal import Foundation
internal import Identifiers

/// A MovieLens data set on disk: `movies.dat` and `ratings.dat`, or `movies.csv` and `ratings.csv`, each also as `.gz`.
///
/// - Source: the README files of the MovieLens 1M, 10M, 20M, 25M, 32M and latest data sets.
public struct MovieLensFolder: Sendable {
    /// The folder.
    public let path: String
    /// The file of films.
    public let moviesPath: String
    /// The file of ratings.
    public let ratingsPath: String

    /// Opens a data set.
    ///
    /// - Throws: `DatasetError` when the folder or one of the two files is missing.
    public init(path: String) throws(DatasetError) {
        guard FolderCheck.isFolder(path) else {
            throw DatasetError(file: path, reason: "is not a folder; give the folder that holds the data set")
        }
        let (movies, ratings) = (Self.find("movies", in: path), Self.find("ratings", in: path))
        guard movies != nil || ratings != nil else {
            throw DatasetError(
                file: path,
                reason:
                    "holds no MovieLens data set: expected movies.dat and ratings.dat, or movies.csv and ratings.csv"
            )
        }
        guard let ratings else {
            let isDat = movies.map { MovieLensFormat(path: $0) == .dat } ?? false
            throw DatasetError(file: "\(path)/ratings.\(isDat ? "dat" : "csv")", reason: "does not exist")
        }
        guard let movies = Self.moviesPath(beside: ratings) else {
            let isDat = MovieLensFormat(path: ratings) == .dat
            throw DatasetError(file: "\(path)/movies.\(isDat ? "dat" : "csv")", reason: "does not exist")
        }
        self.path = path
        moviesPath = movies
        ratingsPath = ratings
    }

    /// A file of the set in any of the forms that it is published in; nil when there is none.
    static func find(_ name: String, in folder: String) -> String? {
        ["dat", "csv", "dat.gz", "csv.gz"].map { "\(folder)/\(name).\($0)" }
            .first { FileManager.default.fileExists(atPath: $0) }
    }

    /// The file of films of the same form, in the folder of a file of ratings; nil when there is none.
    static func moviesPath(beside ratings: String) -> String? {
        let folder = (ratings as NSString).deletingLastPathComponent
        let path =
            (folder.isEmpty ? "" : folder + "/") + "movies."
            + (MovieLensFormat(path: ratings) == .dat ? "dat" : "csv")
        return [path, path + ".gz"].first { FileManager.default.fileExists(atPath: $0) }
    }

    /// All films.
    ///
    /// - Parameter skipsBadLines: whether a line that is wrong is left out instead of being an error.
    /// - Returns: the films in the file's order.
    /// - Throws: `DatasetError` naming file, line, field and value.
    public func catalogue(skipsBadLines: Bool = false) throws(DatasetError) -> Catalogue {
        try Self.films(moviesPath, skipsBadLines: skipsBadLines).catalogue
    }

    /// All films of a file, and how many lines were skipped.
    static func films(
        _ path: String,
        skipsBadLines: Bool
    ) throws(DatasetError) -> (catalogue: Catalogue, skippedLines: Int) {
        var lines = try FieldReader(path: path, columns: ["movieId", "title", "genres"], skipsBadLines: skipsBadLines)
        var items: [CatalogueItem] = []
        while let item = try lines.next({ (fields) throws(DatasetError) in try Self.item(fields) }) {
            items.append(item)
        }
        guard !items.isEmpty else { throw DatasetError(file: path, reason: "holds no film") }
        do throws(DatasetError) {
            return (try Catalogue(items: items), lines.skippedLines)
        } catch {
            throw DatasetError(file: path, field: error.field, value: error.value, reason: error.reason)
        }
    }

    /// A reader of the ratings, in the file's order.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened.
    public func events(
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false
    ) throws(DatasetError) -> MovieLensEventReader {
        try MovieLensEventReader(path: ratingsPath, from: position, skipsBadLines: skipsBadLines)
    }

    private static func item(_ fields: [String]) throws(DatasetError) -> CatalogueItem {
        guard !fields[0].isEmpty else { throw DatasetError(field: "movieId", value: "", reason: "is empty") }
        guard !fields[1].isEmpty else { throw DatasetError(field: "title", value: "", reason: "is empty") }
        let genres = fields[2].split(separator: "|").map(String.init)
        return CatalogueItem(
            id: ItemID(fields[0]),
            title: fields[1],
            categories: genres == ["(no genres listed)"] ? [] : genres
        )
    }
}
