/// How a data set is prepared for training.
public struct PreparationOptions: Sendable {
    /// Whether bad lines and events of unknown items are skipped and counted.
    public var skipsBadLines: Bool
    /// Users with fewer events are left out.
    public var minimumUserEvents: Int
    /// Items with fewer events are left out.
    public var minimumItemEvents: Int
    /// Whether only the first of several events of one user, item and time is kept, regardless of rating and type.
    public var dropsDuplicates: Bool
    /// How many bytes are kept of what a user wrote about an event; nil keeps none of it.
    public var reviewByteCount: Int?

    /// Makes options; by default nothing is left out.
    public init(
        skipsBadLines: Bool = false,
        minimumUserEvents: Int = 1,
        minimumItemEvents: Int = 1,
        dropsDuplicates: Bool = false,
        reviewByteCount: Int? = nil
    ) {
        self.skipsBadLines = skipsBadLines
        self.dropsDuplicates = dropsDuplicates
        self.minimumUserEvents = minimumUserEvents
        self.minimumItemEvents = minimumItemEvents
        self.reviewByteCount = reviewByteCount
    }
}

/// The progress of preparing a data set.
public struct PreparationProgress: Sendable {
    /// The current stage, such as `reading ratings.csv`.
    public var stage: String
    /// Bytes of the file on disk that have been read.
    public var bytesRead: Int
    /// The size of the file.
    public var byteCount: Int
    /// Events read so far.
    public var events: Int
}

extension DatasetFolder {
    /// Reads the data set and prepares it for training.
    ///
    /// Users and items with too few events are removed alternately until all that remain have enough: the "k-core" of
    /// the literature.
    ///
    /// - Parameters:
    ///   - options: what is left out.
    ///   - progress: called from time to time.
    /// - Returns: the data, with users in order of first occurrence.
    /// - Throws: `DatasetError` naming file, line, field and value.
    public func prepared(
        _ options: PreparationOptions = PreparationOptions(),
        progress: (PreparationProgress) -> Void = { _ in }
    ) throws(DatasetError) -> PreparedDataset {
        guard options.reviewByteCount == nil || hasReviews else {
            throw DatasetError(
                file: eventsPath,
                reason: "has no reviews, as \(format.rawValue) has none; amazon and google-local have them, and events "
                    + "in ndjson may have a text: leave --reviews out"
            )
        }
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
        let dataset = try builder.build(format: format.rawValue)
        guard !dataset.hasReviews || dataset.reviewCount > 0 else {
            throw DatasetError(
                file: eventsPath,
                reason: "has no review: nobody wrote a text about any of the \(dataset.eventCount) events that are "
                    + "kept; leave --reviews out"
            )
        }
        return dataset
    }

    /// Whether the items file lists all items and is read before the events.
    private var hasCompleteCatalogue: Bool { format == .movieLens || format == .ndjson }

    /// Registers the items when the catalogue is complete.
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

    /// Reads the events; returns the first bad line that was skipped.
    private func gather(
        _ builder: inout PreparedDatasetBuilder,
        _ progress: (PreparationProgress) -> Void
    ) throws(DatasetError) -> DatasetError? {
        var reader = try events(
            skipsBadLines: builder.options.skipsBadLines,
            readsText: builder.options.reviewByteCount != nil,
            readsSummary: false
        )
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

    /// Reads titles and categories of the remaining items.
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

    /// The format of the items file: a table is recognized by its header, JSON follows the format of the events.
    private func itemForm(_ path: String) throws(DatasetError) -> ItemLines.Form {
        let look = try FileLook(path)
        if case .itemTable(let form) = look.kind { return form }
        // If the problem is not on a single line, the whole file has another format.
        if look.kind == .unknown, let problem = look.problem, problem.line == nil { throw problem }
        if case .table = kind { return look.kind.itemForm ?? .json(.items) }
        return kind.itemForm ?? .json(.items)
    }
}
