public import Catalogues
internal import Foundation

/// A MovieLens data set on disk: `movies.dat` and `ratings.dat`, `movies.csv` and `ratings.csv`, Kaggle's `movie.csv`
/// and `rating.csv`, or `u.item` and `u.data`, each also as `.gz`.
///
/// - Source: the README files of the MovieLens 100K, 1M, 10M, 20M, 25M, 32M and latest data sets.
public struct MovieLensFolder: Sendable {
    /// The folder.
    public let path: String
    /// The films file.
    public let moviesPath: String
    /// The ratings file.
    public let ratingsPath: String

    /// Opens a data set.
    ///
    /// - Throws: `DatasetError` when the folder or one of the two files is missing.
    public init(path: String) throws(DatasetError) {
        guard FolderCheck.isFolder(path) else {
            throw DatasetError(file: path, reason: "is not a folder; give the folder that holds the data set")
        }
        let (movies, ratings) = (Self.find(Self.movieNames, in: path), Self.find(Self.ratingNames, in: path))
        guard movies != nil || ratings != nil else {
            throw DatasetError(
                file: path,
                reason: "holds no MovieLens data set: expected movies.dat and ratings.dat, movies.csv and ratings.csv, "
                    + "or u.item and u.data"
            )
        }
        guard let ratings else {
            throw DatasetError(file: Self.missing("ratings", like: movies, in: path), reason: "does not exist")
        }
        guard let movies = Self.moviesPath(beside: ratings) else {
            throw DatasetError(file: Self.missing("movies", like: ratings, in: path), reason: "does not exist")
        }
        self.path = path
        moviesPath = movies
        ratingsPath = ratings
    }

    private static let ratingNames = ["ratings.dat", "ratings.csv", "rating.csv", "u.data"]
    private static let movieNames = ["movies.dat", "movies.csv", "movie.csv", "u.item"]

    private static func missing(_ name: String, like other: String?, in folder: String) -> String {
        if other?.contains("/u.") == true { return "\(folder)/\(name == "ratings" ? "u.data" : "u.item")" }
        return "\(folder)/\(name).\(other.map(isDat) == true ? "dat" : "csv")"
    }

    private static func isDat(_ path: String) -> Bool { path.hasSuffix(".dat") || path.hasSuffix(".dat.gz") }

    private static func find(_ names: [String], in folder: String) -> String? {
        names.flatMap { ["\(folder)/\($0)", "\(folder)/\($0).gz"] }
            .first { FileManager.default.fileExists(atPath: $0) }
    }

    /// The ratings file in any of its published formats; nil when there is none.
    static func ratingsPath(in folder: String) -> String? { find(ratingNames, in: folder) }

    /// Whether there is a films file.
    static func hasMovies(in folder: String) -> Bool { find(movieNames, in: folder) != nil }

    /// The films file of the same format, in the folder of a ratings file; nil when there is none.
    static func moviesPath(beside ratings: String) -> String? {
        let folder = (ratings as NSString).deletingLastPathComponent
        let name = (ratings as NSString).lastPathComponent
        let names =
            isDat(ratings)
            ? ["movies.dat"] : name.hasPrefix("u.data") ? ["u.item"] : ["movies.csv", "movie.csv"]
        return find(names, in: folder.isEmpty ? "." : folder)
    }

    /// All films.
    ///
    /// - Parameter skipsBadLines: whether bad lines are skipped instead of being an error.
    /// - Returns: the films in the file's order.
    /// - Throws: `DatasetError` naming file, line, field and value.
    public func catalogue(skipsBadLines: Bool = false) throws(DatasetError) -> Catalogue {
        try KnownItems(films: moviesPath, skipsBadLines: skipsBadLines).catalogue
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
}
