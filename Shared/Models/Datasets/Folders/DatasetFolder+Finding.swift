internal import Foundation

extension DatasetFolder {
    /// A file of events.
    struct Found {
        var path: String
        var kind: FileKind
        /// Names of files next to it that hold no events, with the reason where they look like data.
        var passedOver: [String] = []
        /// Whether it could also be prose.
        var isDoubtful = false

        init(_ path: String, _ kind: FileKind) {
            self.path = path
            self.kind = kind
        }
    }

    private static func files(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().filter { !$0.hasPrefix(".") && !FolderCheck.isFolder("\(folder)/\($0)") }
    }

    /// The events file of a folder.
    static func events(in folder: String, _ format: DatasetFormat?) throws(DatasetError) -> Found {
        func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)/\(name)") }
        func isWanted(_ one: DatasetFormat) -> Bool { format == nil || format == one }
        let ratings = isWanted(.movieLens) ? MovieLensFolder.ratingsPath(in: folder) : nil
        for name in ["events.ndjson", "events.ndjson.gz"] where isWanted(.ndjson) && has(name) {
            // The synthetic world is written in both formats; ours holds more information.
            if has("catalogue.json") || ratings == nil { return beside("\(folder)/\(name)", .events, in: folder) }
        }
        if let ratings { return beside(ratings, .table(try movieLens(ratings)), in: folder) }
        if format == .movieLens || (isWanted(.movieLens) && MovieLensFolder.hasMovies(in: folder)) {
            let path = try MovieLensFolder(path: folder).ratingsPath
            return beside(path, .table(try movieLens(path)), in: folder)
        }
        return try onlyEvents(in: folder, format)
    }

    /// A file recognized by its name, along with other files next to it that also have events and are not read.
    private static func beside(_ path: String, _ kind: FileKind, in folder: String) -> Found {
        var found = Found(path, kind)
        for name in files(in: folder) where FileName(name).isCandidate && "\(folder)/\(name)" != path {
            guard let look = try? FileLook("\(folder)/\(name)"), !look.isDoubtful, look.kind.format != nil else {
                continue
            }
            found.passedOver.append("\(name) (it looks like events too: give its path to read it instead)")
        }
        return found
    }

    private static func movieLens(_ path: String) throws(DatasetError) -> TableLayout {
        var layout = try TableLayout.ofRatings(path)
        if layout.form == .plain { layout.form = .movieLens }
        return layout
    }

    /// The only events file among those whose names allow it.
    private static func onlyEvents(in folder: String, _ format: DatasetFormat?) throws(DatasetError) -> Found {
        var looks: [(name: String, look: FileLook)] = []
        for name in files(in: folder) where FileName(name).isCandidate {
            do throws(DatasetError) {
                looks.append((name, try FileLook("\(folder)/\(name)", wanted: format)))
            } catch {
                // An unreadable file that is not needed is no reason to stop.
                looks.append((name, FileLook(unreadable: error)))
            }
        }
        var events = looks.filter { one in
            one.look.kind.format.map { format == nil || format == $0 } ?? false
        }
        // A file that could be either prose or sequences counts as prose when there is a better candidate.
        if events.contains(where: { !$0.look.isDoubtful }) { events.removeAll { $0.look.isDoubtful } }
        let problem = looks.compactMap(\.look.problem).first
        guard let first = events.first else { throw nothing(at: folder, format, problem) }
        // Nor is possible prose taken for the data when the actual data cannot be read.
        if first.look.isDoubtful, let problem { throw nothing(at: folder, format, problem) }
        guard events.count == 1 else {
            throw DatasetError(
                file: folder,
                reason: "holds several files of events: "
                    + events.map { "\($0.name) (\($0.look.kind.format?.rawValue ?? ""))" }.joined(separator: ", ")
                    + "; give the path of one of them"
            )
        }
        var found = Found("\(folder)/\(first.name)", first.look.kind)
        found.isDoubtful = first.look.isDoubtful && format == nil
        found.passedOver = looks.filter { $0.name != first.name && ($0.look.kind == .unknown || $0.look.isDoubtful) }
            .map { one in one.name + (one.look.problem.map { " (\($0.reason))" } ?? "") }
        return found
    }

    /// The kind of an events file.
    static func kind(of file: String, _ format: DatasetFormat?) throws(DatasetError) -> FileKind {
        // Names do not distinguish sequences from other text, and even the first line of events may be malformed.
        switch format {
        case .sequences: return .sequences
        case .ndjson: return .events
        case .movieLens: return .table(try movieLens(file))
        default: break
        }
        let look = try FileLook(file, wanted: format)
        var kind = look.kind
        // A table with a header fits both names.
        if case .table(var layout) = kind, format == .csv || format == .recBole {
            layout.form = format == .csv ? .plain : .recBole
            kind = .table(layout)
        }
        // A file with such a name is taken at its word, and the reader reports what is wrong with its first line.
        switch format {
        case .amazon where kind == .unknown: kind = .amazon2023Reviews
        case .googleLocal where kind == .unknown: kind = .googleLocalReviews
        case nil
        where kind == .unknown && FileName(file).isEvents && (look.problem == nil || look.problem?.line != nil):
            kind = .events
        default: break
        }
        guard let found = kind.format, format == nil || format == found else {
            throw nothing(at: file, format, look.problem)
        }
        return kind
    }

    /// The error when nothing can be read, including what is wrong with the file that looks most like data.
    static func nothing(
        at path: String,
        _ format: DatasetFormat?,
        _ problem: DatasetError? = nil
    ) -> DatasetError {
        let wanted = format.map { "no data set of the format \($0.rawValue)" } ?? "no data set that can be read"
        guard var problem else {
            return DatasetError(file: path, reason: "holds \(wanted); looked for: \(DatasetFormat.expectation)")
        }
        problem.reason += " (\(path) holds \(wanted))"
        return problem
    }

    // MARK: - Metadata

    /// The file that describes the items, in the same folder.
    static func metadata(of events: String, _ kind: FileKind, in folder: String) throws(DatasetError) -> String? {
        switch kind {
        case .table(let layout) where layout.form == .movieLens: return MovieLensFolder.moviesPath(beside: events)
        case .events:
            let path = "\(folder)/catalogue.json"
            return FileManager.default.fileExists(atPath: path) ? path : nil
        default: break
        }
        var found: [String] = []
        for name in files(in: folder) where FileName(name).isCandidate && "\(folder)/\(name)" != events {
            // An unreadable file that is not needed is no reason to stop.
            if let look = try? FileLook("\(folder)/\(name)"), look.kind.describesItems(of: kind) { found.append(name) }
        }
        if found.count > 1 {
            let subject = subject(of: events)
            let matching = found.filter { Self.subject(of: $0) == subject }
            guard matching.count == 1 else {
                throw DatasetError(
                    file: folder,
                    reason: "holds several files of metadata: \(found.joined(separator: ", ")); "
                        + "name the one of \(events.split(separator: "/").last ?? "") with --metadata"
                )
            }
            found = matching
        }
        return found.first.map { "\(folder)/\($0)" }
    }

    /// The subject of a file according to published names: `reviews_Beauty_5.json.gz` and `meta_Beauty.json.gz` have
    /// the subject `beauty`, `review-Vermont_10.json.gz` and `meta-Vermont.json.gz` `vermont`, `toy.train.inter` and
    /// `toy.item` `toy`.
    static func subject(of path: String) -> String {
        var name = (path.split(separator: "/").last.map(String.init) ?? path).lowercased()
        let endings = [
            ".gz", ".jsonl", ".ndjson", ".json", ".txt", ".csv", ".tsv", ".inter", ".item", ".train", ".valid", ".test",
            "_5", "_10",
        ]
        for suffix in endings where name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        for prefix in ["reviews", "review", "ratings", "metadata", "meta"] where name.hasPrefix(prefix) {
            name.removeFirst(prefix.count)
            break
        }
        return name.trimmingCharacters(in: CharacterSet(charactersIn: "-_"))
    }
}
