/// Timelines side by side, each from position 0 on, padded at the end to one length.
///
/// Shapes: `B` timelines of `L` positions. Padding needs no mask in a causal encoder: it stands after every real event.
public struct EventBatch: Sendable {
    /// Number of timelines, `B`.
    public let count: Int
    /// Positions of each timeline, `L`.
    public let length: Int
    /// Real events of each timeline, shape [B].
    public let lengths: [Int32]
    /// Catalogue items, shape [B, L]; -1 is an unknown item or padding.
    public private(set) var items: [Int32]
    /// Buckets of unknown items, shape [B, L]; -1 is a known item or padding.
    public private(set) var unknownItems: [Int32]
    /// Categories of all positions, one after the other.
    public private(set) var categories: [Int32] = []
    /// Where each position's categories start, shape [B * L + 1].
    public private(set) var categoryOffsets: [Int32] = [0]
    /// Rating buckets, shape [B, L]; padding is -1.
    public private(set) var ratings: [Int32]
    /// Time gap buckets, shape [B, L]; padding is -1.
    public private(set) var timeGaps: [Int32]

    /// Puts timelines side by side.
    ///
    /// - Parameters:
    ///   - timelines: the events of each, oldest first.
    ///   - length: positions of each row; nil is the longest timeline's.
    public init(_ timelines: [ArraySlice<IndexedEvent>], length: Int? = nil) {
        count = timelines.count
        let longest = timelines.map(\.count).max() ?? 0
        let length = length ?? longest
        precondition(longest <= length, "timeline of \(longest) events does not fit into \(length) positions")
        self.length = length
        lengths = timelines.map { Int32($0.count) }
        items = Array(repeating: -1, count: count * length)
        unknownItems = items
        ratings = items
        timeGaps = items
        categoryOffsets.reserveCapacity(count * length + 1)
        for (row, timeline) in timelines.enumerated() {
            for (position, event) in timeline.enumerated() {
                let cell = row * length + position
                items[cell] = event.item
                unknownItems[cell] = event.unknownItem
                ratings[cell] = event.rating
                // What came before the window is unknown when answering too, so the first gap counts as none.
                timeGaps[cell] = position == 0 ? 0 : event.timeGap
                categories.append(contentsOf: event.categories)
                categoryOffsets.append(Int32(categories.count))
            }
            for _ in timeline.count..<length { categoryOffsets.append(Int32(categories.count)) }
        }
    }

    /// Hides some known items behind a random bucket, so that the encoder learns to read an item by its categories.
    ///
    /// - Parameters:
    ///   - probability: of each item to be hidden.
    ///   - buckets: number of buckets for unknown items.
    ///   - generator: source of the draws.
    public mutating func hideItems(
        probability: Float,
        buckets: Int,
        using generator: inout some RandomNumberGenerator
    ) {
        guard probability > 0 else { return }
        for cell in items.indices where items[cell] >= 0 && Float.random(in: 0..<1, using: &generator) < probability {
            items[cell] = -1
            unknownItems[cell] = Int32.random(in: 0..<Int32(buckets), using: &generator)
        }
    }
}

/// Windows of events and, for each event, what came next: one step's work for an encoder.
public struct NextEventBatch: Sendable {
    /// The events that are read.
    public var events: EventBatch
    /// The item after each event, shape [B, L]; -1 where there is none to learn.
    public let targetItems: [Int32]
    /// The rating bucket after each event, shape [B, L]; -1 where there is none.
    public let targetRatings: [Int32]
    /// Rows of [B * L] and one category of the event after each; a row appears once per category.
    public let targetCategories: [(row: Int32, category: Int32, weight: Float)]

    /// Number of events whose next item is learnt.
    public var targetCount: Int { targetItems.count { $0 >= 0 } }

    /// Makes a batch of windows: each event is a target for the events before it.
    ///
    /// - Parameters:
    ///   - windows: up to `length` + 1 events each, oldest first.
    ///   - length: positions of each row; nil is the longest window's.
    public init(windows: [ArraySlice<IndexedEvent>], length: Int? = nil) {
        events = EventBatch(windows.map { $0.dropLast() }, length: length)
        var items = [Int32](repeating: -1, count: events.count * events.length)
        var ratings = items
        var categories: [(row: Int32, category: Int32, weight: Float)] = []
        for (row, window) in windows.enumerated() {
            for (position, next) in window.dropFirst().enumerated() {
                let cell = row * events.length + position
                items[cell] = next.item
                ratings[cell] = next.rating > 0 ? next.rating : -1
                for category in next.categories {
                    categories.append((Int32(cell), category, 1 / Float(next.categories.count)))
                }
            }
        }
        targetItems = items
        targetRatings = ratings
        targetCategories = categories
    }
}
