/// The format of a table of events or items, and the meaning of its columns.
///
/// The names in its header decide, in any order, in upper or lower case, with or without `_`: `userId`, `user_id` and
/// `User` are the same. Files of a fixed format have no header.
struct TableLayout: Sendable, Equatable {
    /// The meaning of a column.
    enum Role: Int, CaseIterable, Sendable {
        case user, item, rating, time, title, categories, type
    }

    /// The delimiter between two fields.
    enum Delimiter: String, CaseIterable, Sendable {
        case tab = "\t"
        case semicolon = ";"
        case comma = ","
        case pipe = "|"
        case colons = "::"
        case blank = " "

        var byte: UInt8 { rawValue.utf8.first ?? 0 }
        var length: Int { rawValue.utf8.count }
        /// Whether fields may be quoted: tab-separated files do not quote, and a field may begin with a quote.
        var hasQuotes: Bool { self == .comma || self == .semicolon }
    }

    /// The origin of the format.
    enum Form: Sendable {
        /// MovieLens, whose films catalogue is complete.
        case movieLens
        /// RecBole's atomic files, with types in the header.
        case recBole
        /// A table with a header.
        case plain
    }

    var form: Form
    var delimiter: Delimiter
    /// The names of the columns, as in the header.
    var columns: [String]
    /// The column of each role; nil where there is none.
    private(set) var places: [Int?]
    /// The line number of the header; 0 when there is none.
    var headLine = 0
    /// A relevant column name that occurs twice, so that it is ambiguous which one is meant.
    private(set) var repeatedColumn: String?

    /// More columns than any table of events has, so that a line of millions of delimiters takes no memory.
    static let maximumColumnCount = 1_024

    /// A table with the given columns and no header.
    init(_ form: Form, _ delimiter: Delimiter, _ columns: [(name: String, role: Role?)]) {
        self.form = form
        self.delimiter = delimiter
        self.columns = columns.map(\.name)
        places = Role.allCases.map { role in columns.firstIndex { $0.role == role } }
    }

    /// The column with a role; nil when there is none.
    subscript(role: Role) -> Int? { places[role.rawValue] }

    /// Whether lines are events.
    var hasEvents: Bool { self[.user] != nil && self[.item] != nil }
    /// Whether lines describe items.
    var hasItems: Bool { self[.user] == nil && self[.item] != nil && (self[.title] != nil || self[.categories] != nil) }

    /// The column names, as shown in errors.
    var columnText: String { columns.prefix(12).joined(separator: delimiter == .tab ? ", " : delimiter.rawValue) }

    /// The names of columns that are not read.
    var unreadColumns: [String] {
        columns.enumerated().filter { column in !places.contains(column.offset) && !column.element.isEmpty }
            .map(\.element)
    }

    /// For a table of events without a time, a column that could be the time judging by its name.
    var possibleTime: String? {
        guard hasEvents, self[.time] == nil else { return nil }
        return unreadColumns.first { column in
            ["date", "time", "timestamp"].contains { Self.plain(column).hasSuffix($0) }
        }
    }

    // MARK: - Fixed forms

    /// `ratings.dat` of MovieLens 1M and 10M.
    static let movieLensRatings = TableLayout(
        .movieLens,
        .colons,
        [("userId", .user), ("movieId", .item), ("rating", .rating), ("timestamp", .time)]
    )
    /// `movies.dat` of MovieLens 1M and 10M.
    static let movieLensFilms = TableLayout(
        .movieLens,
        .colons,
        [("movieId", .item), ("title", .title), ("genres", .categories)]
    )
    /// `u.data` of MovieLens 100K.
    static let movieLens100KRatings = TableLayout(
        .movieLens,
        .tab,
        [("user id", .user), ("item id", .item), ("rating", .rating), ("timestamp", .time)]
    )
    /// Amazon's "ratings only" of 2014; the one of 2018 has the item before the user.
    static func amazonRatings(userFirst: Bool) -> TableLayout {
        let ids: [(String, Role?)] = [("user", .user), ("item", .item)]
        return TableLayout(
            .plain,
            .comma,
            (userFirst ? ids : ids.reversed()) + [("rating", .rating), ("timestamp", .time)]
        )
    }

    // MARK: - Heads

    /// The layout given by a header line; nil when it is not a header of events or items.
    ///
    /// - Parameters:
    ///   - bytes: the buffer that holds the line.
    ///   - line: the line's range in the buffer.
    ///   - delimiter: the field delimiter, if known.
    init?(head bytes: [UInt8], _ line: Range<Int>, _ delimiter: Delimiter? = nil) {
        for delimiter in delimiter.map({ [$0] }) ?? Delimiter.allCases {
            guard let names = Self.names(bytes, line, delimiter), names.count >= 2 else { continue }
            self.init(names: names, delimiter)
            // Titles contain blanks too.
            if hasEvents || (hasItems && delimiter != .blank) { return }
        }
        return nil
    }

    private init(names: [String], _ delimiter: Delimiter) {
        var names = names
        let types = names.map { $0.split(separator: ":", omittingEmptySubsequences: false).last.map(String.init) ?? "" }
        form = types.allSatisfy(["token", "token_seq", "float", "float_seq"].contains) ? .recBole : .plain
        if form == .recBole { names = names.map { String($0.prefix { $0 != ":" }) } }
        self.delimiter = delimiter
        columns = names
        places = Array(repeating: nil, count: Role.allCases.count)
        let plain = names.map(Self.plain)
        for role in Role.allCases {
            places[role.rawValue] = Self.names(of: role).lazy.compactMap { plain.firstIndex(of: $0) }.first
        }
        // In a file of events, the user or rating column may be called `id`; in a file of items it is the item's.
        if self[.user] == nil, self[.item] == nil { places[Role.item.rawValue] = plain.firstIndex(of: "id") }
        // The type of an item is not read.
        if !hasEvents { places[Role.type.rawValue] = nil }
        repeatedColumn = places.lazy.compactMap { $0 }
            .first { place in plain.count { $0 == plain[place] } > 1 }.map { names[$0] }
    }

    private static func names(_ bytes: [UInt8], _ line: Range<Int>, _ delimiter: Delimiter) -> [String]? {
        var fields = TableFields(delimiter)
        guard line.count <= 1 << 16, (try? fields.split(bytes, line)) != nil else { return nil }
        return (0..<fields.count).map { fields.text($0, of: bytes) }
    }

    private static func plain(_ name: String) -> String {
        String(name.lowercased().unicodeScalars.filter { !" _-.".unicodeScalars.contains($0) })
    }

    /// The column names used in published tables; the earlier name takes precedence.
    private static func names(of role: Role) -> [String] {
        switch role {
        case .user:
            [
                "userid", "user", "uid", "reviewerid", "customerid", "memberid", "visitorid", "accountid", "sessionid",
                "username",
            ]
        case .item:
            [
                "itemid", "item", "iid", "movieid", "parentasin", "asin", "productid", "gmapid", "businessid",
                "bookid", "isbn", "animeid", "trackid", "songid", "artistid", "gameid", "articleid", "newsid",
            ]
        case .rating: ["rating", "overall", "stars", "score", "ratings", "bookrating", "preference"]
        case .time:
            [
                "timestamp", "time", "unixreviewtime", "datetime", "date", "ts", "createdat", "eventtime", "eventdate",
                "eventtimestamp", "reviewdate", "reviewtime", "ratingdate", "ratedat", "playedat", "orderdate",
                "purchasedate", "tdat",
            ]
        case .title:
            ["title", "movietitle", "itemtitle", "name", "itemname", "producttitle", "productname", "booktitle"]
        case .categories: ["genres", "genre", "categories", "category", "class", "maincategory"]
        case .type:
            [
                "eventtype", "behaviortype", "behaviourtype", "actiontype", "interactiontype", "behavior", "behaviour",
                "action", "interaction", "eventname", "event", "type",
            ]
        }
    }
}
