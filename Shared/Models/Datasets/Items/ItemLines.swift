/// Reads what a file says about items, line by line: JSON objects, or a table.
struct ItemLines {
    /// The format of the file.
    enum Form: Equatable {
        /// One object per line.
        case json(ItemFields)
        /// A table with column names in its header, or one of a fixed format.
        case table(TableLayout)
        /// `u.item` of MovieLens 100K, where each genre is a column of 0 and 1.
        case movieLens100K

        /// How its text is encoded.
        var text: ItemText.Form {
            switch self {
            case .json(let fields): ItemText.Form(isHTML: fields.isHTML, isScraped: true)
            case .table(let layout): ItemText.Form(mayBeLatin1: layout.delimiter == .colons)
            case .movieLens100K: ItemText.Form(mayBeLatin1: true)
            }
        }

        fileprivate var layout: TableLayout? {
            switch self {
            case .json: nil
            case .table(let layout): layout
            case .movieLens100K: TableLayout(.movieLens, .pipe, [("movie id", .item), ("movie title", .title)])
            }
        }
    }

    let form: Form
    private var lines: LineReader
    private let layout: TableLayout?
    private var fields: TableFields
    private let skipsBadLines: Bool
    private(set) var skippedLines = 0

    init(_ path: String, _ form: Form, skipsBadLines: Bool) throws(DatasetError) {
        lines = try LineReader(path)
        self.form = form
        layout = form.layout
        fields = TableFields(layout?.delimiter ?? .comma)
        self.skipsBadLines = skipsBadLines
    }

    var bytesRead: Int { lines.bytesRead }
    var line: Int { hasQuotes ? lines.recordLine : lines.position.line }
    private var hasQuotes: Bool { layout?.delimiter.hasQuotes ?? false }
    var recordsOfSeveralLines: Int { lines.longRecords }

    /// Calls `body` with each item in the file.
    ///
    /// - Parameter body: its errors are reported for the item's line.
    /// - Throws: `DatasetError` naming file, line, field and value, unless bad lines are skipped.
    mutating func forEach(
        _ body: (inout ItemEntry, _ lines: Self) throws(DatasetError) -> Void
    ) throws(DatasetError) {
        var entry = ItemEntry()
        let headLine = layout?.headLine ?? 0
        while let line = try nextLine() {
            if lines.isBlank(line) || self.line <= headLine { continue }
            do throws(DatasetError) {
                try read(line, into: &entry)
                try body(&entry, self)
            } catch {
                guard !skipsBadLines else {
                    skippedLines += 1
                    continue
                }
                var error = error.advised()
                error.file = lines.path
                error.line = self.line
                throw error
            }
        }
    }

    private mutating func nextLine() throws(DatasetError) -> Range<Int>? {
        if let layout, hasQuotes { return try lines.nextRecord(delimiter: layout.delimiter.byte) }
        return try lines.next()
    }

    private mutating func read(_ line: Range<Int>, into entry: inout ItemEntry) throws(DatasetError) {
        guard case .json(let names) = form else { return try readTable(line, into: &entry) }
        try entry.read(lines.bytes, line, names)
    }

    // MARK: - Tables

    private mutating func readTable(_ line: Range<Int>, into entry: inout ItemEntry) throws(DatasetError) {
        guard let layout else { return }
        entry.clear()
        if layout.form == .movieLens, layout.delimiter == .colons { return try readFilm(line, into: &entry) }
        try fields.split(lines.bytes, line)
        let expected = form == .movieLens100K ? 5 + Self.genres.count : layout.columns.count
        guard fields.count == expected else {
            throw DatasetError(
                value: String(decoding: lines.bytes[line].prefix(200), as: UTF8.self),
                reason: "has \(fields.count) fields, expected \(expected): \(layout.columnText)"
            )
        }
        if let place = layout[.item] { fields.append(place, of: lines.bytes, to: &entry.id) }
        if let place = layout[.title] { fields.append(place, of: lines.bytes, to: &entry.title) }
        if form == .movieLens100K {
            for (number, genre) in Self.genres.enumerated() where number > 0 {
                if fields.text(5 + number, of: lines.bytes) == "1" { entry.add(category: Array(genre.utf8)) }
            }
        } else if let place = layout[.categories] {
            var names: [UInt8] = []
            fields.append(place, of: lines.bytes, to: &names)
            CategoryList.split(names, layout, column: place) { entry.add(category: $0) }
        }
        try requireID(entry)
    }

    /// Reads `id::title::genres`, where the title may contain `::`.
    private func readFilm(_ line: Range<Int>, into entry: inout ItemEntry) throws(DatasetError) {
        let bytes = lines.bytes
        let colon = UInt8(ascii: ":")
        func isSeparator(_ index: Int) -> Bool { bytes[index] == colon && bytes[index + 1] == colon }
        let places = line.dropLast()
        guard let first = places.first(where: isSeparator), let last = places.last(where: isSeparator),
            last >= first + 2
        else {
            throw DatasetError(
                value: String(decoding: bytes[line].prefix(200), as: UTF8.self),
                reason: "has fewer than 3 fields, expected movieId::title::genres"
            )
        }
        entry.id.append(contentsOf: bytes[line.lowerBound..<first])
        entry.title.append(contentsOf: bytes[(first + 2)..<last])
        for genre in bytes[(last + 2)..<line.upperBound].split(separator: UInt8(ascii: "|")) {
            entry.add(category: Array(genre))
        }
        try requireID(entry)
    }

    private func requireID(_ entry: ItemEntry) throws(DatasetError) {
        guard entry.id.isEmpty, let layout, let place = layout[.item] else { return }
        throw DatasetError(field: layout.columns[place], value: "", reason: "is empty: expected the item's id")
    }

    /// The genre columns at the end of `u.item`; the first one means "no genre".
    ///
    /// - Source: the README of MovieLens 100K.
    private static let genres = [
        "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
        "Fantasy",
        "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
    ]
}

/// Several categories in one field of a table.
enum CategoryList {
    /// Calls `body` with each category.
    static func split(_ field: [UInt8], _ layout: TableLayout, column: Int, _ body: ([UInt8]) -> Void) {
        let comma = UInt8(ascii: ",")
        var text = trimmed(field[...])
        guard text.first != UInt8(ascii: "["), text.first != UInt8(ascii: "'") else {
            if text.first == UInt8(ascii: "["), text.last == UInt8(ascii: "]") { text = text.dropFirst().dropLast() }
            return splitQuoted(text, body)
        }
        let separator: UInt8
        if text.contains(UInt8(ascii: "|")) {
            separator = UInt8(ascii: "|")
        } else if layout.form == .recBole {
            separator = text.contains(comma) ? comma : UInt8(ascii: " ")
        } else {
            // `genres` holds several; a `category` is a single one and may contain a comma.
            separator = layout.columns[column].lowercased().hasSuffix("s") ? comma : 0
        }
        for name in text.split(separator: separator) {
            let name = trimmed(name)
            if !name.elementsEqual("(no genres listed)".utf8) { body(Array(name)) }
        }
    }

    /// Splits `'A', 'B'`, the way Python writes a list.
    private static func splitQuoted(_ text: ArraySlice<UInt8>, _ body: ([UInt8]) -> Void) {
        var rest = text
        while let start = rest.firstIndex(where: { $0 == UInt8(ascii: "'") || $0 == UInt8(ascii: "\"") }) {
            let inner = rest[(start + 1)...]
            // A quote followed by a comma or the end closes the name; an apostrophe does not.
            let end = inner.indices.first { index in
                inner[index] == rest[start]
                    && (index + 1 == inner.endIndex || inner[index + 1] == UInt8(ascii: ",")
                        || inner[index + 1] == UInt8(ascii: "]"))
            }
            guard let end else { return body(Array(inner)) }
            body(Array(inner[..<end]))
            rest = inner[(end + 1)...]
        }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let first = text.firstIndex(where: { $0 > 0x20 }), let last = text.lastIndex(where: { $0 > 0x20 }) else {
            return text.prefix(0)
        }
        return text[first...last]
    }
}
