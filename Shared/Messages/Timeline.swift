/// What the encoder needs of one event.
public struct TimelineEvent: Sendable, Equatable {
    /// The item's id.
    public var item: String
    /// The rating on the data set's own scale, if there was one.
    public var rating: Float?
    /// Categories that came with the event; empty means: as the catalogue says.
    public var categories: [String]
    /// When it happened, in milliseconds since 1970.
    public var time: Int64

    /// Makes an event of a timeline.
    public init(item: String, rating: Float? = nil, categories: [String] = [], time: Int64) {
        self.item = item
        self.rating = rating
        self.categories = categories
        self.time = time
    }

    /// Keeps of an event what a timeline keeps.
    public init(_ event: Event) {
        self.init(item: event.item, rating: event.rating, categories: event.categories, time: event.time)
    }
}

/// The last events of one user and how many there ever were: the encoder worker's state.
///
/// Topic `user-timelines`, compacted; key: the user's id. Written and restored by the encoder worker.
public struct Timeline: Sendable, Equatable {
    /// Whose timeline it is.
    public var user: String
    /// The number of the rebuild that made it; the first is 0.
    public var generation: UInt32
    /// How many events this user ever had.
    public var eventCount: UInt64
    /// Offset, in the user's partition of `user-events`, of the last event that was applied; -1 before the first.
    public var lastOffset: Int64
    /// The newest events, oldest first.
    public var events: [TimelineEvent]

    /// Makes a timeline.
    public init(
        user: String,
        generation: UInt32 = 0,
        eventCount: UInt64 = 0,
        lastOffset: Int64 = -1,
        events: [TimelineEvent] = []
    ) {
        self.user = user
        self.generation = generation
        self.eventCount = eventCount
        self.lastOffset = lastOffset
        self.events = events
    }
}
