/// The supported formats of data sets.
public enum DatasetFormat: String, CaseIterable, Sendable {
    /// MovieLens: `ratings.dat` and `movies.dat`, `ratings.csv` and `movies.csv`, Kaggle's `rating.csv` and
    /// `movie.csv`, or `u.data` and `u.item`.
    case movieLens = "movielens"
    /// Amazon reviews and metadata of 2014, 2018 and 2023: one JSON object per line.
    case amazon
    /// Google Local reviews and metadata of 2021: one JSON object per line.
    case googleLocal = "google-local"
    /// RecBole's atomic files: `NAME.inter` and `NAME.item`, with column names and types in the header.
    case recBole = "recbole"
    /// Any other table with column names in its first line.
    case csv
    /// Lines of `user item item ...`, with `items.jsonl` next to it if there are titles.
    case sequences
    /// Our own events and items: `events.ndjson` and `catalogue.json`.
    case ndjson

    /// What the search looks for; used in the error when nothing is found.
    static let expectation = """
        MovieLens (ratings.dat or ratings.csv, with movies.dat or movies.csv; u.data with u.item), Amazon reviews (JSON \
        lines with reviewerID and asin, or user_id and parent_asin), Google Local reviews (JSON lines with user_id and \
        gmap_id), RecBole (NAME.inter with NAME.item), a table (.csv or .tsv whose first line names user, item, rating, \
        timestamp), sequences (a .txt file of lines "user item item ..."), or our own events.ndjson with \
        catalogue.json; each file also as .gz
        """
}

/// The contents of a file, judging by its name and first lines.
enum FileKind: Equatable {
    /// A table of events.
    case table(TableLayout)
    case amazon2014Reviews
    case amazon2023Reviews
    case googleLocalReviews
    case sequences
    case events
    /// A table of items, or `u.item`.
    case itemTable(ItemLines.Form)
    case amazonMetadata
    case googleLocalMetadata
    case items
    case unknown

    /// The format of an events file; nil for any other file.
    var format: DatasetFormat? {
        switch self {
        case .table(let layout):
            switch layout.form {
            case .movieLens: .movieLens
            case .recBole: .recBole
            case .plain: .csv
            }
        case .amazon2014Reviews, .amazon2023Reviews: .amazon
        case .googleLocalReviews: .googleLocal
        case .sequences: .sequences
        case .events: .ndjson
        case .itemTable, .amazonMetadata, .googleLocalMetadata, .items, .unknown: nil
        }
    }

    /// Whether a file of this kind describes the items of the given kind of events file.
    func describesItems(of events: FileKind) -> Bool {
        switch events {
        case .amazon2014Reviews, .amazon2023Reviews: self == .amazonMetadata
        case .googleLocalReviews: self == .googleLocalMetadata
        case .sequences: self == .items
        case .table: format == nil && self != .unknown
        default: false
        }
    }

    /// How a file of this kind is read as an item description; nil when it is not one.
    var itemForm: ItemLines.Form? {
        switch self {
        case .itemTable(let form): form
        case .amazonMetadata, .amazon2014Reviews, .amazon2023Reviews: .json(.amazon)
        case .googleLocalMetadata, .googleLocalReviews: .json(.googleLocal)
        case .items, .sequences: .json(.items)
        case .table, .events, .unknown: nil
        }
    }
}
