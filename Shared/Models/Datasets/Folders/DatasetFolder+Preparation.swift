/// How a data set is made ready for training.
public struct PreparationOptions: Sendable {
    /// Whether a bad line or an event of an unknown item is left out and counted.
    public var skipsBadLines: Bool
    /// Users with fewer events are left out.
    public var minimumUserEvents: Int
    /// Items with fewer events are left out.
    public var minimumItemEvents: Int
    /// Whether of several events of one user, item and time only the first in the file is kept, whatever its rating and
    /// its type are.
    public var dropsDuplicates: Bool

    /// Makes options; without any, nothing is left out.
    public init(
        skipsBadLines: Bool = false,
        minimumUserEvents: Int = 1,
        minimumItemEvents: Int = 1,
        dropsDuplicates: Bool = false
    ) {
        self.skipsBadLines = skipsBadLines
        self.dropsDuplicates = dropsDuplicates
        self.minimumUserEvents = minimumUserEvents
        self.minimumItemEvents = minimumItemEvents
    }
}

/// How far the preparation of a data set is.
public struct PreparationProgress: Sendable {
    /// What is being done, such as `reading ratings.csv`.
    public var stage: String
    /// Bytes of the file on disk that have been read.
    public var bytesRead: Int
    /// The file's size.
    public var byteCount: Int
    /// Events read so far.
    public var events: Int
}

extension DatasetFolder {
    /// Reads the data set and makes it ready for training.
    ///
    /// Users with too few events and items with too few are left out in turn until all that are left have enough: the
    /// "k-core" of the literature.
    ///
    /// - Parameters:
    ///   - options: what is left out.
    ///   - progress: called now and then.
    /// - Returns: the data, users in the order they first occur.
    /// - Throws: `DatasetError` naming file, line, field and value.
    public func prepared(
        _ options: PreparationOptions = PreparationOptions(),
        progress: (PreparationProgress) -> Void = { _ in }
    ) throws(DatasetError) -> PreparedDataset {
        var builder = PreparedDatasetBuilder(options)
        try knowCatalogue(&builder)
        builder.counts[.filesPassedOver] = passedOver.count
        let firstSkipped = try gather(&builder, progress)
        guard builder.eventCount > 0 else {
            var reason = "holds no event; is this the right file, and is it whole?"
            if let firstSkipped {
                reason += " \(builder.skippedLines) bad lines were left out, the first is \(firstSkipped)"
            }
            throw DatasetError(file: eventsPath, reason: reason)
        }
        try builder.keepCore(file: eventsPath)
        if let metadataPath, !hasCompleteCatalogue { try describe(&builder, metadataPath, progress) }
        return try builder.build(format: format.rawValue)
    }

    /// Whether the file of items says which there are, and is read before the events.
    private var hasCompleteCatalogue: Bool { format == .movieLens || format == .ndjson }

    /// Where the catalogue is complete, it says which items there are.
    private func knowCatalogue(_ builder: inout PreparedDatasetBuilder) throws(DatasetError) {
        guard hasCompleteCatalogue else { return }
        if let metadataPath {
            if format == .ndjson {
                builder.know(try KnownItems(catalogue: metadataPath))
            } else {
                builder.know(try KnownItems(films: metadataPath, skipsBadLines: builder.options.skipsBadLines))
            }
        } else if format == .ndjson {
            throw DatasetError(
                file: "catalogue.json",
                reason: "does not exist beside \(eventsPath), which needs it: "
                    + #"{"items": [{"id": ..., "title": ..., "categories": [...]}]}"#
            )
        }
    }

    /// Reads the events; gives the first bad line that was left out.
    private func gather(
        _ builder: inout PreparedDatasetBuilder,
        _ progress: (PreparationProgress) -> Void
    ) throws(DatasetError) -> DatasetError? {
        var reader = try events(skipsBadLines: builder.options.skipsBadLines, readsText: false)
        var state = PreparationProgress(
            stage: "reading \(eventsPath.split(separator: "/").last ?? "events")",
            bytesRead: 0,
            byteCount: FolderCheck.size(of: eventsPath),
            events: 0
        )
        var row = EventRow()
        while try reader.next(&row) {
            try builder.add(row, file: eventsPath, line: reader.line)
            state.events += 1
            if state.events & 0xFFFF == 0 {
                state.bytesRead = reader.bytesRead
                progress(state)
            }
        }
        state.bytesRead = state.byteCount
        progress(state)
        builder.counts += reader.counts
        return reader.firstSkipped
    }

    /// Reads titles and categories of the items that are left.
    private func describe(
        _ builder: inout PreparedDatasetBuilder,
        _ metadataPath: String,
        _ progress: (PreparationProgress) -> Void
    ) throws(DatasetError) {
        var state = PreparationProgress(
            stage: "reading \(metadataPath.split(separator: "/").last ?? "metadata")",
            bytesRead: 0,
            byteCount: FolderCheck.size(of: metadataPath),
            events: builder.eventCount
        )
        try builder.describe(metadataPath, try itemForm(metadataPath)) {
            state.bytesRead = $0
            progress(state)
        }
        state.bytesRead = state.byteCount
        progress(state)
    }

    /// How the file of items is written: a table says it by its head, JSON is what goes with the events.
    private func itemForm(_ path: String) throws(DatasetError) -> ItemLines.Form {
        let look = try FileLook(path)
        if case .itemTable(let form) = look.kind { return form }
        // Where it is no single line, the whole file is of another form.
        if look.kind == .unknown, let problem = look.problem, problem.line == nil { throw problem }
        if case .table = kind { return look.kind.itemForm ?? .json(.items) }
        return kind.itemForm ?? .json(.items)
    }
}
