public import Bytes
public import Catalogues
public import Messages

/// A data set ready for training: every user's events sorted by time, items by their index in the catalogue.
///
/// For a user with at least three events, the last is the test event, the one before it is for validation, and the rest
/// are for training (leave-one-out). The events of other users are only used for training.
public struct PreparedDataset: Sendable, Equatable {
    /// One event.
    public struct Entry: Sendable, Equatable {
        /// The item's index in the catalogue.
        public var item: Int32
        /// The rating on the data set's own scale; nil when there is none.
        public var rating: Float?
        /// Milliseconds since 1970.
        public var time: Int64
    }

    /// Where the data came from, and what was left out.
    public struct Origin: Codable, Sendable, Equatable {
        /// The format of the data set that was read, such as `movielens`.
        public var format = "events"
        /// Events read, before any were left out.
        public var eventsRead = 0
        /// Bad lines and events of unknown items that were skipped.
        public var skippedLines = 0
        /// Users with fewer events were removed.
        public var minimumUserEvents = 1
        /// Items with fewer events were removed.
        public var minimumItemEvents = 1
        /// Users removed.
        public var removedUsers = 0
        /// Items removed.
        public var removedItems = 0
        /// Events removed with them.
        public var removedEvents = 0
        /// Items without a title, which are called by their id.
        public var untitledItems = 0
        /// Counts of what was left out, decoded or assumed.
        public var counts = ReadingCounts()

        init() {}

        /// Decodes the origin; folders prepared by older versions have no counts.
        public init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            format = try fields.decode(String.self, forKey: .format)
            eventsRead = try fields.decode(Int.self, forKey: .eventsRead)
            skippedLines = try fields.decode(Int.self, forKey: .skippedLines)
            minimumUserEvents = try fields.decode(Int.self, forKey: .minimumUserEvents)
            minimumItemEvents = try fields.decode(Int.self, forKey: .minimumItemEvents)
            removedUsers = try fields.decode(Int.self, forKey: .removedUsers)
            removedItems = try fields.decode(Int.self, forKey: .removedItems)
            removedEvents = try fields.decode(Int.self, forKey: .removedEvents)
            untitledItems = try fields.decode(Int.self, forKey: .untitledItems)
            counts = try fields.decodeIfPresent(ReadingCounts.self, forKey: .counts) ?? ReadingCounts()
        }
    }

    /// The items that occur in events.
    public let catalogue: Catalogue
    /// Ids of the users, in order of first occurrence.
    public let users: [UserID]
    /// Hash of the catalogue, all events and the reviews that are kept: equal hashes mean equal data.
    public let dataHash: String
    /// Where the data came from, and what was left out.
    public let origin: Origin

    /// The start of each user's events, with the total at the end.
    let offsets: [Int]
    let items: [Int32]
    /// NaN where there is none.
    let ratings: RatingColumn
    let times: TimeColumn
    /// What users wrote; nil when it was not kept.
    let reviews: ReviewColumn?

    init(
        catalogue: Catalogue,
        users: [UserID],
        events: consuming EventGatherer.Grouped,
        origin: Origin
    ) throws(DatasetError) {
        self.catalogue = catalogue
        self.users = users
        self.origin = origin
        offsets = events.offsets
        items = events.items
        ratings = events.ratings
        times = events.times
        reviews = events.reviews
        guard users.count <= UInt32.max, items.count <= UInt32.max else {
            throw DatasetError(
                value: "\(items.count)",
                reason: "is more events than a prepared data set holds, which is \(UInt32.max); leave some out"
            )
        }
        var hash = SHA256()
        for item in catalogue.items {
            hash.update(Array("\(item.id)\0\(item.title)\0\(item.categories.joined(separator: "|"))\n".utf8))
        }
        Self.forEachPiece(users: users, offsets: offsets, items: items, ratings: ratings, times: times) {
            hash.update($0)
        }
        reviews?.forEachPiece { hash.update($0) }
        dataHash = hash.hexDigest()
    }

    /// Collects the events of a reader.
    ///
    /// - Parameters:
    ///   - reader: the events, in any order; equal times keep the reader's order.
    ///   - catalogue: the items; those without events are dropped.
    ///   - skipsBadLines: whether events of items that are not in the catalogue are skipped and counted.
    /// - Throws: `DatasetError` from the reader, for an unknown item, and when there are no events.
    public init(
        reading reader: inout some EventReader,
        catalogue: Catalogue,
        skipsBadLines: Bool = false
    ) throws(DatasetError) {
        var builder = PreparedDatasetBuilder(PreparationOptions(skipsBadLines: skipsBadLines))
        builder.know(KnownItems(catalogue))
        var row = EventRow()
        while try reader.next(&row) { try builder.add(row, file: nil, line: reader.line) }
        guard builder.eventCount > 0 else { throw DatasetError(reason: "the data set holds no event") }
        builder.counts += reader.counts
        self = try builder.build(format: "events")
    }

    /// Whether two data sets are equal.
    public static func == (one: Self, other: Self) -> Bool {
        one.dataHash == other.dataHash && one.origin.skippedLines == other.origin.skippedLines
    }

    /// Bad lines skipped while reading.
    public var skippedLines: Int { origin.skippedLines }

    /// How many events there are.
    public var eventCount: Int { items.count }

    /// How many events a user has.
    public func eventCount(ofUser user: Int) -> Int { offsets[user + 1] - offsets[user] }

    /// One event of a user, counted from 0.
    public func entry(user: Int, _ index: Int) -> Entry {
        let place = offsets[user] + index
        let rating = ratings[place]
        return Entry(item: items[place], rating: rating.isNaN ? nil : rating, time: times[place])
    }

    /// The item of one event of a user.
    public func item(user: Int, _ index: Int) -> Int { Int(items[offsets[user] + index]) }

    /// Whether it was prepared with what users wrote.
    public var hasReviews: Bool { reviews != nil }

    /// How many events have a review; 0 when they were not kept.
    public var reviewCount: Int { reviews?.textCount ?? 0 }

    /// What a user wrote about one event, counted from 0; nil when there is nothing, or it was not kept.
    public func review(user: Int, _ index: Int) -> String? {
        guard let text = reviews?[offsets[user] + index], !text.isEmpty else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    /// Some of a user's events in the form that a model takes.
    public func timeline(user: Int, _ range: Range<Int>) -> [TimelineEvent] {
        range.map { index in
            let entry = entry(user: user, index)
            return TimelineEvent(item: catalogue.items[Int(entry.item)].id, rating: entry.rating, time: entry.time)
        }
    }

    /// Users with a test event and a validation event.
    public var evaluatedUsers: [Int] { users.indices.filter { eventCount(ofUser: $0) >= 3 } }
}
