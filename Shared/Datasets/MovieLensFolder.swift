internal import Foundation

/// A MovieLens data set on disk: `movies.dat` and `ratings.dat`, or `movies.csv` and `ratings.csv`.
///
/// - Source: the README files of the MovieLens 1M and latest-small data sets.
public struct MovieLensFolder: Sendable {
    /// The folder.
    public let path: String
    let format: MovieLensFormat

    /// Opens a data set.
    ///
    /// - Throws: `DatasetError` when the folder or one of the two files is missing.
    public init(path: String) throws(DatasetError) {
        let files = FileManager.default
        guard FolderCheck.isFolder(path) else {
            throw DatasetError(file: path, reason: "is not a folder; give the folder that holds the data set")
        }
        func has(_ name: String) -> Bool { files.fileExists(atPath: "\(path)/\(name)") }
        if has("ratings.dat") || (has("movies.dat") && !has("ratings.csv")) {
            format = .dat
        } else if has("ratings.csv") || has("movies.csv") {
            format = .csv
        } else {
            throw DatasetError(
                file: path,
                reason:
                    "holds no MovieLens data set: expected movies.dat and ratings.dat, or movies.csv and ratings.csv"
            )
        }
        for name in ["movies", "ratings"] where !has("\(name).\(format.fileExtension)") {
            throw DatasetError(file: "\(path)/\(name).\(format.fileExtension)", reason: "does not exist")
        }
        self.path = path
    }

    /// The file of films.
    public var moviesPath: String { "\(path)/movies.\(format.fileExtension)" }
    /// The file of ratings.
    public var ratingsPath: String { "\(path)/ratings.\(format.fileExtension)" }

    /// All films.
    ///
    /// - Parameter skipsBadLines: whether a line that is wrong is left out instead of being an error.
    /// - Returns: the films in the file's order.
    /// - Throws: `DatasetError` naming file, line, field and value.
    public func catalogue(skipsBadLines: Bool = false) throws(DatasetError) -> Catalogue {
        var lines = try FieldReader(
            path: moviesPath,
            format: format,
            columns: ["movieId", "title", "genres"],
            skipsBadLines: skipsBadLines
        )
        var items: [CatalogueItem] = []
        while let item = try lines.next({ (fields) throws(DatasetError) in try Self.item(fields) }) {
            items.append(item)
        }
        guard !items.isEmpty else { throw DatasetError(file: moviesPath, reason: "holds no film") }
        do throws(DatasetError) {
            return try Catalogue(items: items)
        } catch {
            throw DatasetError(file: moviesPath, field: error.field, value: error.value, reason: error.reason)
        }
    }

    /// A reader of the ratings, in the file's order.
    ///
    /// - Throws: `DatasetError` when the file cannot be opened.
    public func events(
        from position: ReadPosition = .start,
        skipsBadLines: Bool = false
    ) throws(DatasetError) -> MovieLensEventReader {
        try MovieLensEventReader(path: ratingsPath, format: format, from: position, skipsBadLines: skipsBadLines)
    }

    private static func item(_ fields: [String]) throws(DatasetError) -> CatalogueItem {
        guard !fields[0].isEmpty else { throw DatasetError(field: "movieId", value: "", reason: "is empty") }
        guard !fields[1].isEmpty else { throw DatasetError(field: "title", value: "", reason: "is empty") }
        let genres = fields[2].split(separator: "|").map(String.init)
        return CatalogueItem(
            id: fields[0],
            title: fields[1],
            categories: genres == ["(no genres listed)"] ? [] : genres
        )
    }
}
