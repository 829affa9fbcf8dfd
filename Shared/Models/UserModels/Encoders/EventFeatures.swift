public import Catalogues
public import Bytes
public import Messages
import NeuralNetwork

/// The encoder's view of one event: indices into its embedding tables.
public struct IndexedEvent: Sendable, Equatable {
    /// Position of the item in the catalogue; -1 when the model does not know it.
    public var item: Int32
    /// The bucket of an unknown item; -1 when the item is known.
    public var unknownItem: Int32
    /// Known categories, in the order they were given.
    public var categories: [Int32]
    /// Bucket of the rating; 0 means none.
    public var rating: Int32
    /// Bucket of the time since the previous event; 0 means none.
    public var timeGap: Int32
    /// Milliseconds since 1970.
    public var time: Int64

    /// Makes an event; everything but the item defaults to none.
    public init(
        item: Int32,
        unknownItem: Int32 = -1,
        categories: [Int32] = [],
        rating: Int32 = 0,
        timeGap: Int32 = 0,
        time: Int64 = 0
    ) {
        (self.item, self.unknownItem, self.categories) = (item, unknownItem, categories)
        (self.rating, self.timeGap, self.time) = (rating, timeGap, time)
    }
}

/// Turns events into the indices an encoder reads.
///
/// - Items outside the catalogue are hashed by id into one of a few buckets, and keep their categories.
/// - Categories come from the event or, if it has none, from the catalogue. Names outside the catalogue are dropped.
/// - Ratings are quantized in steps from 0 to a maximum; values outside are clamped. A missing rating has a bucket of
///   its own.
/// - The time since the previous event is quantized on a scale of powers of two seconds.
public struct EventFeatures: Sendable {
    /// Which features are used and how they are quantized.
    public struct Configuration: Codable, Sendable, Equatable {
        /// Whether the item's own vector is used.
        public var usesItem = true
        /// Whether categories are used.
        public var usesCategories = true
        /// Whether the rating is used.
        public var usesRating = true
        /// Whether the time since the previous event is used.
        public var usesTimeGap = true
        /// Buckets shared by items outside the catalogue; at least 1.
        public var unknownItemBuckets = 8
        /// Distance between adjacent rating buckets, on the data set's scale.
        public var ratingStep: Float = 0.5
        /// The greatest rating with a bucket of its own.
        public var ratingMaximum: Float = 5
        /// Buckets of the time since the previous event: none, up to a second, and one for each doubling.
        public var timeGapBuckets = 30

        /// The defaults: every feature, half-star steps up to 5.
        public init() {}

        /// Rows of the rating table: none, and each step from 0 to the maximum.
        public var ratingBuckets: Int { Int((ratingMaximum / ratingStep).rounded()) + 2 }
    }

    /// Which features are used and how they are quantized.
    public let configuration: Configuration
    /// Items of the catalogue.
    public let itemCount: Int
    /// Names of the categories; an index is a position in this list.
    public let categoryNames: [String]

    private let catalogue: Catalogue
    private let categoriesOfItem: [[Int32]]

    /// Makes the features of a catalogue.
    ///
    /// - Parameters:
    ///   - configuration: which features are used and how they are quantized.
    ///   - catalogue: the items; an item's index is its position there.
    public init(configuration: Configuration, catalogue: Catalogue) {
        self.configuration = configuration
        self.catalogue = catalogue
        itemCount = catalogue.count
        categoryNames = catalogue.categories
        categoriesOfItem = catalogue.categoryIndices.map { $0.map(Int32.init) }
    }

    /// The item's position in the catalogue; nil when it is not there.
    public func index(ofItem id: ItemID) -> Int? { catalogue.index(of: id) }

    /// The categories of a catalogue item.
    public func categories(ofItem item: Int) -> [Int32] { categoriesOfItem[item] }

    /// Looks up the features of a timeline, oldest event first.
    public func indexed(_ events: some Collection<TimelineEvent>) -> [IndexedEvent] {
        var result: [IndexedEvent] = []
        result.reserveCapacity(events.count)
        var previousTime: Int64?
        for event in events {
            let item = catalogue.index(of: event.item)
            var categories = item.map { categoriesOfItem[$0] } ?? []
            if !event.categories.isEmpty {
                let given = event.categories.compactMap { catalogue.categoryIndex(of: $0).map(Int32.init) }
                if !given.isEmpty || item == nil { categories = given }
            }
            result.append(
                IndexedEvent(
                    item: item.map(Int32.init) ?? -1,
                    unknownItem: item == nil ? unknownBucket(event.item) : -1,
                    categories: categories,
                    rating: ratingBucket(event.rating),
                    timeGap: previousTime.map { timeGapBucket(milliseconds: event.time &- $0) } ?? 0,
                    time: event.time
                )
            )
            previousTime = event.time
        }
        return result
    }

    /// The bucket of a rating: 0 for none, otherwise 1 and up.
    public func ratingBucket(_ rating: Float?) -> Int32 {
        guard let rating, !rating.isNaN else { return 0 }
        let steps = (min(max(rating, 0), configuration.ratingMaximum) / configuration.ratingStep).rounded()
        return Int32(steps) + 1
    }

    /// The bucket of a time gap: 1 up to a second (or when events are out of order), then one more for each doubling.
    public func timeGapBucket(milliseconds: Int64) -> Int32 {
        let seconds = UInt64(max(milliseconds, 0)) / 1000
        let doublings = seconds == 0 ? 0 : UInt64.bitWidth - seconds.leadingZeroBitCount
        return Int32(min(1 + doublings, configuration.timeGapBuckets - 1))
    }

    /// The bucket of an unknown item: FNV-1a over its id, because Swift's own hash differs from process to process.
    func unknownBucket(_ id: ItemID) -> Int32 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in id.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        // The last byte was multiplied only once, so sequential ids would share their high bits.
        return Int32(SeededRandom.mix(hash) % UInt64(configuration.unknownItemBuckets))
    }
}
