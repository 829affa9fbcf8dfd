/// How a data set is made ready for training.
public struct PreparationOptions: Sendable {
    /// Whether a bad line or an event of an unknown item is left out and counted.
    public var skipsBadLines: Bool
    /// Users with fewer events are left out.
    public var minimumUserEvents: Int
    /// Items with fewer events are left out.
    public var minimumItemEvents: Int

    /// Makes options; without any, nothing is left out.
    public init(skipsBadLines: Bool = false, minimumUserEvents: Int = 1, minimumItemEvents: Int = 1) {
        self.skipsBadLines = skipsBadLines
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
        try gather(&builder, progress)
        guard builder.eventCount > 0 else {
            throw DatasetError(file: eventsPath, reason: "holds no event; is this the right file, and is it whole?")
        }
        try builder.keepCore(file: eventsPath)
        if let fields = kind.metadataFields { try describe(&builder, fields, progress) }
        return try builder.build(format: format.rawValue)
    }

    /// Where the catalogue is complete, it says which items there are.
    private func knowCatalogue(_ builder: inout PreparedDatasetBuilder) throws(DatasetError) {
        switch kind {
        case .movieLensRatings:
            guard let metadataPath else { return }
            let films = try MovieLensFolder.films(metadataPath, skipsBadLines: builder.options.skipsBadLines)
            builder.know(films.catalogue)
            builder.skippedLines += films.skippedLines
        case .events:
            guard let metadataPath else {
                throw DatasetError(
                    file: "catalogue.json",
                    reason: "does not exist beside \(eventsPath), which needs it: "
                        + #"{"items": [{"id": ..., "title": ..., "categories": [...]}]}"#
                )
            }
            builder.know(try Catalogue(contentsOf: metadataPath))
        default: break
        }
    }

    private func gather(
        _ builder: inout PreparedDatasetBuilder,
        _ progress: (PreparationProgress) -> Void
    ) throws(DatasetError) {
        var reader = try events(skipsBadLines: builder.options.skipsBadLines, readsText: false)
        var state = PreparationProgress(
            stage: "reading \(eventsPath.split(separator: "/").last ?? "events")",
            bytesRead: 0,
            byteCount: FolderCheck.size(of: eventsPath),
            events: 0
        )
        var row = EventRow()
        while try reader.next(&row) {
            try builder.add(row, file: eventsPath, line: reader.position.line)
            state.events += 1
            if state.events & 0xFFFF == 0 {
                state.bytesRead = reader.bytesRead
                progress(state)
            }
        }
        state.bytesRead = state.byteCount
        progress(state)
        builder.skippedLines += reader.skippedLines
    }

    /// Reads titles and categories of the items that are left.
    private func describe(
        _ builder: inout PreparedDatasetBuilder,
        _ fields: ItemMetadata.Fields,
        _ progress: (PreparationProgress) -> Void
    ) throws(DatasetError) {
        guard let metadataPath else { return }
        var state = PreparationProgress(
            stage: "reading \(metadataPath.split(separator: "/").last ?? "metadata")",
            bytesRead: 0,
            byteCount: FolderCheck.size(of: metadataPath),
            events: builder.eventCount
        )
        try builder.describe(metadataPath, fields) {
            state.bytesRead = $0
            progress(state)
        }
        state.bytesRead = state.byteCount
        progress(state)
    }
}

extension FileKind {
    /// What the fields of the metadata are called; nil where the catalogue is complete.
    fileprivate var metadataFields: ItemMetadata.Fields? {
        switch self {
        case .amazon2014Reviews, .amazon2023Reviews: .amazon
        case .googleLocalReviews: .googleLocal
        case .sequences: .items
        default: nil
        }
    }
}
