internal import Bytes
internal import Files

/// The result of inspecting a file's name and first lines.
struct FileLook {
    var kind = FileKind.unknown
    /// Whether it could also be something else: words that may be sequences or prose.
    var isDoubtful = false
    /// Why it cannot be read, where it looks like data.
    var problem: DatasetError?

    /// The number of lines to inspect, since the first ones may be damaged, and the byte limit for all of them.
    private static let lineCount = 20
    private static let byteCount = 1 << 20

    init(_ kind: FileKind) { self.kind = kind }

    private init(problem reason: String) { problem = DatasetError(reason: reason) }

    /// A file that cannot even be inspected.
    init(unreadable problem: DatasetError) { self.problem = problem }

    /// Inspects a file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - wanted: the requested format; a line in this format takes precedence over lines in another.
    /// - Throws: `DatasetError` when it cannot be read.
    init(_ path: String, wanted: DatasetFormat? = nil) throws(DatasetError) {
        self = try Self.look(path, FileName(path), wanted)
        problem?.file = path
    }

    private static func look(
        _ path: String,
        _ name: FileName,
        _ wanted: DatasetFormat?
    ) throws(DatasetError) -> Self {
        if let form = name.fixedForm { return Self(form) }
        var lines = try LineReader(path)
        if wanted != .sequences, wanted != .csv, try lines.firstByte() == UInt8(ascii: "[") {
            return Self(
                problem: "is one JSON array, and an object in each line is expected; convert it: "
                    + "`jq -c '.[]' \(name.last) > \(name.stem).jsonl`"
            )
        }
        var (first, byteCount) = ([Line](), 0)
        while first.count < Self.lineCount, byteCount < Self.byteCount, let line = try lines.next() {
            if lines.isBlank(line) { continue }
            first.append(Line(bytes: Array(lines.bytes[line]), number: lines.position.line))
            byteCount += line.count
        }
        guard let head = first.first else { return Self(.unknown) }
        if !name.isObjects, head.bytes.contains(0x0D) {
            return Self(
                problem: "has lines that end with a carriage return alone; convert it: "
                    + "`tr '\\r' '\\n' < \(name.last) > \(name.stem).new`"
            )
        }
        guard !name.isObjects, wanted != .sequences, let separator = head.separator else {
            return Self(first, name, wanted, separatedBy: nil)
        }
        guard let delimiter = TableLayout.Delimiter(rawValue: separator) else {
            var look = Self(.unknown)
            look.problem = DatasetError(
                line: head.number,
                value: head.start,
                reason:
                    "says that \"\(separator)\" is between fields; save the table with commas, semicolons, tabs or bars"
            )
            return look
        }
        first.removeFirst()
        guard !first.isEmpty else { return Self(.unknown) }
        var look = Self(first, name, wanted, separatedBy: delimiter)
        // Even if no header follows, this line is not an event.
        if case .table(var layout) = look.kind, layout.headLine < head.number {
            layout.headLine = head.number
            look.kind = .table(layout)
        }
        return look
    }

    /// Inspects the first lines of a file; there is at least one.
    private init(
        _ first: [Line],
        _ name: FileName,
        _ wanted: DatasetFormat?,
        separatedBy delimiter: TableLayout.Delimiter?
    ) {
        if let table = Self.table(first[0], name, wanted, delimiter) {
            self = table
        } else if first.contains(where: \.isObject) || name.isObjects {
            self.init(objects: first, wanted)
        } else if name.isTable {
            self.init(headless: first)
        } else {
            self.init(words: first, wanted)
        }
    }

    /// One of the first lines.
    struct Line {
        let bytes: [UInt8]
        let number: Int

        var range: Range<Int> { bytes.indices }
        var isObject: Bool { bytes.first { $0 > 0x20 } == UInt8(ascii: "{") }
        var start: String { String(decoding: bytes.prefix(120), as: UTF8.self) }

        /// The field separator from `sep=;`, which Excel accepts and writes before the header; nil for any other line.
        var separator: String? {
            var text = bytes[...]
            if text.count == 7, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") {
                text = text.dropFirst().dropLast()
            }
            guard text.count == 5, text.prefix(4).map({ $0 | 0x20 }).elementsEqual("sep=".utf8) else { return nil }
            return String(decoding: text.suffix(1), as: UTF8.self)
        }
    }

    // MARK: - Tables

    private static func table(
        _ head: Line,
        _ name: FileName,
        _ wanted: DatasetFormat?,
        _ delimiter: TableLayout.Delimiter?
    ) -> Self? {
        guard !head.isObject, !name.isObjects, wanted != .sequences,
            var layout = TableLayout(head: head.bytes, head.range, delimiter)
        else { return nil }
        layout.headLine = head.number
        if name.isInter { layout.form = .recBole }
        if layout.form == .plain, wanted != .csv, layout.isMovieLens || name.isMovieLensRatings {
            layout.form = .movieLens
        }
        if let column = layout.repeatedColumn {
            var look = Self(.unknown)
            look.problem = DatasetError(
                line: head.number,
                field: column,
                reason: "is the name of more than one column; leave one of them its name"
            )
            return look
        }
        guard layout.hasEvents else { return Self(.itemTable(.table(layout))) }
        if let column = layout.possibleTime {
            var look = Self(.unknown)
            look.problem = DatasetError(
                line: head.number,
                field: column,
                reason:
                    "may be when its events happened, and is not known by this name: call it timestamp, or, if it says "
                    + "something else, what ends neither with date nor with time"
            )
            return look
        }
        // A `.txt` file is rarely a table, so its header must be unambiguous.
        if name.isText, layout.form != .recBole, wanted == nil {
            var look = Self(.unknown)
            look.problem = DatasetError(
                line: head.number,
                value: head.start,
                reason:
                    "looks like the head of a table with the columns \(layout.columns.joined(separator: ", ")), and "
                    + "not like sequences; give --format csv to read it as that, or --format sequences"
            )
            return look
        }
        return Self(.table(layout))
    }

    /// A table without a header: only Amazon's "ratings only" can be recognized by the contents of its columns.
    private init(headless lines: [Line]) {
        for userFirst in [true, false] {
            let layout = TableLayout.amazonRatings(userFirst: userFirst)
            if lines.allSatisfy({ Self.isAmazonRating($0, userFirst: userFirst) }) {
                kind = .table(layout)
                return
            }
        }
        problem = DatasetError(
            line: lines[0].number,
            value: lines[0].start,
            reason: "is no head that names the columns of a table, and without one nobody can tell users from items; "
                + "write one before it, such as user,item,rating,timestamp"
        )
    }

    private static func isAmazonRating(_ line: Line, userFirst: Bool) -> Bool {
        var fields = TableFields(.comma)
        guard (try? fields.split(line.bytes, line.range)) != nil, fields.count == 4 else { return false }
        let (user, item) = (
            fields.text(userFirst ? 0 : 1, of: line.bytes), fields.text(userFirst ? 1 : 0, of: line.bytes)
        )
        func isPlain(_ id: String) -> Bool {
            id.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }
        }
        // A product id has ten letters and digits, first digits for books; a reviewer id is longer and starts with A.
        guard isPlain(user), isPlain(item), item.utf8.count == 10, user.utf8.count > 10, user.hasPrefix("A"),
            let rating = Double(fields.text(2, of: line.bytes)), (0...5).contains(rating),
            let time = Int64(fields.text(3, of: line.bytes)), time > 0
        else { return false }
        return true
    }

    // MARK: - JSON

    private init(objects lines: [Line], _ wanted: DatasetFormat?) {
        var likely = FileKind.unknown
        for line in lines {
            let found: FileKind
            do throws(DatasetError) {
                found = Self.kind(try Self.fieldNames(line))
            } catch {
                if problem == nil { problem = Self.explained(error, line) }
                if likely == .unknown { likely = Self.kind(Self.quotedNames(line)) }
                continue
            }
            if kind == .unknown { kind = found }
            if found != .unknown, wanted == nil || found.format == wanted {
                kind = found
                problem = nil
                return
            }
        }
        // If no line can be read, the names in them show what was meant, and reading reports what is wrong.
        if kind == .unknown, likely.format != nil, wanted == nil || likely.format == wanted { kind = likely }
        if kind == .unknown, problem == nil {
            problem = DatasetError(
                line: lines[0].number,
                value: lines[0].start,
                reason: "has none of the fields that tell users and items"
            )
        }
    }

    private static func kind(_ fields: Set<TextKey>) -> FileKind {
        func has(_ names: TextKey...) -> Bool { names.allSatisfy(fields.contains) }
        if has("reviewerID", "asin") { return .amazon2014Reviews }
        if has("user_id", "parent_asin") { return .amazon2023Reviews }
        if has("user_id", "gmap_id") { return .googleLocalReviews }
        if has("user", "item") || has("user_id", "item_id") || has("userId", "itemId") { return .events }
        if has("parent_asin") || has("asin") { return .amazonMetadata }
        if has("gmap_id") { return .googleLocalMetadata }
        return has("id") ? .items : .unknown
    }

    private static func fieldNames(_ line: Line) throws(DatasetError) -> Set<TextKey> {
        var names: Set<TextKey> = []
        var scanner = ValueScanner(line.bytes, line.range, .syntax(of: line.bytes, line.range))
        try scanner.beginObject()
        var isFirst = true
        while let name = try scanner.nextField(isFirst: isFirst) {
            isFirst = false
            names.insert(TextKey(scanner.text(name)))
            try scanner.skipValue()
        }
        return names
    }

    /// The strings in double quotes in a line that cannot be read.
    private static func quotedNames(_ line: Line) -> Set<TextKey> {
        let parts = line.bytes.prefix(1 << 14).split(separator: UInt8(ascii: "\""), maxSplits: 400)
        return Set(parts.map { TextKey(String(decoding: $0.prefix(40), as: UTF8.self)) })
    }

    private static func explained(_ error: DatasetError, _ line: Line) -> DatasetError {
        var error = error.advised()
        error.line = line.number
        // A single object over many lines, as a pretty printer writes it.
        if line.bytes.elementsEqual("{".utf8) {
            error.reason = "is an object that goes on in the next line; write each in one line: `jq -c .`"
        }
        return error
    }
}

/// What a file's name reveals.
struct FileName {
    /// The name without its folder.
    let last: String
    /// The name without `.gz`, in lower case.
    private let plain: String

    init(_ path: String) {
        last = path.split(separator: "/").last.map(String.init) ?? path
        let lower = last.lowercased()
        plain = lower.hasSuffix(".gz") ? String(lower.dropLast(3)) : lower
    }

    var stem: String { String(last.prefix { $0 != "." }) }
    var isText: Bool { plain.hasSuffix(".txt") }
    var isInter: Bool { plain.hasSuffix(".inter") }
    var isTable: Bool { [".csv", ".tsv", ".inter", ".item"].contains(where: plain.hasSuffix) }
    var isObjects: Bool { [".json", ".jsonl", ".ndjson"].contains(where: plain.hasSuffix) }
    var isEvents: Bool { plain.hasSuffix(".ndjson") }
    /// Whether it may hold events or items.
    var isCandidate: Bool { isText || isTable || isObjects }
    var isMovieLensRatings: Bool { ["ratings.csv", "rating.csv"].contains(plain) }

    /// The kind of a file in a format without a header, by its name alone.
    var fixedForm: FileKind? {
        if plain == "u.data" { return .table(.movieLens100KRatings) }
        if plain == "u.item" { return .itemTable(.movieLens100K) }
        guard plain.hasSuffix(".dat") else { return nil }
        return plain.hasPrefix("movies") ? .itemTable(.table(.movieLensFilms)) : .table(.movieLensRatings)
    }
}

extension TableLayout {
    /// Whether the items are films, by MovieLens's column name.
    var isMovieLens: Bool { self[.item].map { columns[$0].lowercased() == "movieid" } ?? false }

    /// The layout of a file that should be a table of events.
    ///
    /// - Throws: `DatasetError` naming the file and its header.
    static func ofRatings(_ path: String) throws(DatasetError) -> TableLayout {
        let look = try FileLook(path, wanted: .movieLens)
        if case .table(let layout) = look.kind { return layout }
        throw look.problem
            ?? DatasetError(
                file: path,
                reason:
                    "is no table of events: its first line must name its columns, as userId,movieId,rating,timestamp"
            )
    }

    /// How a file that should be a table of items is read.
    ///
    /// - Throws: `DatasetError` naming the file and its header.
    static func itemForm(_ path: String) throws(DatasetError) -> ItemLines.Form {
        let look = try FileLook(path, wanted: .movieLens)
        if let form = look.kind.itemForm { return form }
        throw DatasetError(
            file: path,
            line: look.problem?.line,
            value: look.problem?.value,
            reason: "describes no items: its first line must name its columns, as movieId,title,genres"
        )
    }
}
