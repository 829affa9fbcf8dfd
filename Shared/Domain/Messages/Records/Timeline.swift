public import Bytes

/// What the encoder needs of one event.
public struct TimelineEvent: Sendable, Equatable {
    /// The item's id.
    public var item: ItemID
    /// The rating on the data set's own scale, if there was one.
    public var rating: Float?
    /// Categories that came with the event; empty means: as the catalogue says.
    public var categories: [String]
    /// When it happened, in milliseconds since 1970.
    public var time: Int64
    /// The digest of the client's id of the event, if it had one; never 0.
    public var idDigest: UInt64?

    /// Makes an event of a timeline.
    public init(
        item: ItemID,
        rating: Float? = nil,
        categories: [String] = [],
        time: Int64,
        idDigest: UInt64? = nil
    ) {
        self.item = item
        self.rating = rating
        self.categories = categories
        self.time = time
        self.idDigest = idDigest
    }

    /// Takes from an event what a timeline keeps.
    public init(_ event: Event) {
        self.init(
            item: event.item,
            rating: event.rating,
            categories: event.categories,
            time: event.time,
            idDigest: event.id.map(Self.digest(ofID:))
        )
    }

    /// What a timeline keeps of an event's id: the first 8 bytes of the SHA-256 of its UTF-8, as a little-endian
    /// number, and 1 instead of 0.
    ///
    /// Two different ids collide by accident with a probability of 2^-64, whatever they look like. An id is compared
    /// only with those of one user's timeline: at 50 events, one event in 3.7 * 10^17 is wrongly taken for a
    /// repetition. A client can search for two ids with one digest (2^32 attempts), and would then lose an event of its
    /// own.
    public static func digest(ofID id: String) -> UInt64 {
        let digest = SHA256.digest(of: id.utf8).prefix(8).reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        return digest == 0 ? 1 : digest
    }

    /// The most bytes that this event adds to a stored timeline, whatever else is in it.
    public var storedByteCount: Int {
        categories.reduce(Self.storedByteCount(ofItem: item.utf8.count)) {
            $0 + Self.storedByteCount(ofCategory: $1.utf8.count)
        }
    }

    /// The part of `storedByteCount` of an event without categories.
    ///
    /// In the tables its id with a tag and a length (3), its rating (4) and a list's length (1); in the columns at most
    /// two bytes for its item, two for its rating, three for its list, seven for its time, and eight for its id.
    public static func storedByteCount(ofItem byteCount: Int) -> Int { byteCount + 40 }

    /// The most bytes that an item of earlier events adds to a stored timeline: its id with a tag and a length (3).
    public static func storedByteCount(ofEarlierItem byteCount: Int) -> Int { byteCount + 3 }

    /// The part of `storedByteCount` of one category: its name with a tag and a length (3), and its index in a list
    /// (3).
    public static func storedByteCount(ofCategory byteCount: Int) -> Int { byteCount + 6 }
}

/// The last events of one user and how many there ever were: the encoder worker's state.
///
/// It keeps as many events as the model reads, and of those before them the last `Limits.seenItemCount` distinct items.
/// If the sum of their `storedByteCount` exceeds `Limits.timelineByteCount`, the oldest are dropped until it does not,
/// items before events: a record over the log's limit would stop its reader forever. 50 events of maximum size add up
/// to 866,000, so for events to be dropped this takes a longer timeline.
///
/// An event whose id the timeline already holds is not counted again: it moves `lastOffset` and nothing else. One that
/// is repeated after as many other events as the timeline keeps is counted again, and so is one without an id.
///
/// Topic `user-timelines`, compacted; key: the user's id. Written and restored by the encoder worker.
public struct Timeline: Sendable, Equatable {
    /// The position of the last record that was rerouted to the user's partition from another one.
    public struct Source: Sendable, Equatable {
        /// The other partition of `user-events`.
        public var partition: Int32
        /// The record's offset there.
        public var offset: Int64

        /// Makes a position.
        public init(partition: Int32, offset: Int64) {
            self.partition = partition
            self.offset = offset
        }
    }

    /// Whose timeline it is.
    public var user: UserID
    /// The number of the rebuild that made it; the first is 0.
    public var generation: UInt32
    /// How many events this user ever had.
    public var eventCount: UInt64
    /// Offset, in the user's partition of `user-events`, of the last event that was applied; -1 before the first.
    public var lastOffset: Int64
    /// For each other partition that records were rerouted from, the last one that was applied, ordered by partition.
    ///
    /// Such a record may be rerouted twice when the log reports an offset that is too small; only one past this offset
    /// counts.
    public var sources: [Source]
    /// The newest events, oldest first.
    public var events: [TimelineEvent]
    /// Items of events before those, each once and none of an event in `events`, in the order of their last events,
    /// oldest first.
    public var earlierItems: [ItemID]

    /// Makes a timeline.
    public init(
        user: UserID,
        generation: UInt32 = 0,
        eventCount: UInt64 = 0,
        lastOffset: Int64 = -1,
        sources: [Source] = [],
        events: [TimelineEvent] = [],
        earlierItems: [ItemID] = []
    ) {
        self.user = user
        self.generation = generation
        self.eventCount = eventCount
        self.lastOffset = lastOffset
        self.sources = sources
        self.events = events
        self.earlierItems = earlierItems
    }

    /// The last distinct items that the user has had, at most `Limits.seenItemCount`, in no particular order.
    public var seenItems: [ItemID] {
        var seen: Set<ItemID> = []
        for event in events.reversed() where seen.count < Limits.seenItemCount { seen.insert(event.item) }
        return earlierItems.suffix(Limits.seenItemCount - seen.count) + seen
    }
}
