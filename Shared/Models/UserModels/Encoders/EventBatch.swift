public import Tensors

/// A batch of timelines, each from position 0 on, padded at the end to one length.
///
/// Shapes: `B` timelines of `L` positions. A causal encoder needs no padding mask: padding follows every real event.
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
    /// Categories of all positions, concatenated.
    public private(set) var categories: [Int32] = []
    /// The start of each position's categories, shape [B * L + 1].
    public private(set) var categoryOffsets: [Int32] = [0]
    /// Rating buckets, shape [B, L]; padding is -1.
    public private(set) var ratings: [Int32]
    /// Time gap buckets, shape [B, L]; padding is -1.
    public private(set) var timeGaps: [Int32]
    /// Seconds since the timeline's first event, shape [B, L]; 0 in padding.
    public private(set) var times: [Int32]
    /// 0 where an event is masked, else -1, shape [B, L]; empty when none is.
    ///
    /// Nothing of a masked event is read: it gets the time of the event before it. The gap of the event after it is
    /// still measured from its real time.
    public private(set) var masks: [Int32] = []

    /// Makes a batch of timelines.
    ///
    /// - Parameters:
    ///   - timelines: the events of each, oldest first.
    ///   - length: positions of each row; nil uses the length of the longest timeline.
    public init(_ timelines: [ArraySlice<IndexedEvent>], length: Int? = nil) {
        self.init(timelines, length: length) { _, _ in false }
    }

    /// Makes a batch of timelines and masks the events for which the closure returns true, by row and position.
    init(_ timelines: [ArraySlice<IndexedEvent>], length: Int?, hides isHidden: (Int, Int) -> Bool) {
        let longest = timelines.map(\.count).max() ?? 0
        let length = length ?? longest
        precondition(longest <= length, "timeline of \(longest) events does not fit into \(length) positions")
        self.init(count: timelines.count, length: length, lengths: timelines.map { Int32($0.count) })
        for (row, timeline) in timelines.enumerated() {
            let start = timeline.first?.time ?? 0
            for (position, event) in timeline.enumerated() {
                let cell = row * length + position
                guard !isHidden(row, position) else {
                    hide(cell, time: position == 0 ? 0 : times[cell - 1])
                    continue
                }
                items[cell] = event.item
                unknownItems[cell] = event.unknownItem
                ratings[cell] = event.rating
                // Events before the window are unknown at inference time too, so the first gap counts as none.
                timeGaps[cell] = position == 0 ? 0 : event.timeGap
                times[cell] = Int32(clamping: (event.time &- start) / 1_000)
                categories.append(contentsOf: event.categories)
                categoryOffsets.append(Int32(categories.count))
            }
            for _ in timeline.count..<length { categoryOffsets.append(Int32(categories.count)) }
        }
    }

    /// Only padding, to be filled cell by cell.
    private init(count: Int, length: Int, lengths: [Int32]) {
        (self.count, self.length, self.lengths) = (count, length, lengths)
        items = Array(repeating: -1, count: count * length)
        unknownItems = items
        ratings = items
        timeGaps = items
        times = Array(repeating: 0, count: count * length)
        categoryOffsets.reserveCapacity(count * length + 1)
    }

    private mutating func hide(_ cell: Int, time: Int32) {
        if masks.isEmpty { masks = Array(repeating: -1, count: items.count) }
        masks[cell] = 0
        times[cell] = time
        categoryOffsets.append(Int32(categories.count))
    }

    /// Whether every position is a real event.
    var isFull: Bool { lengths.allSatisfy { Int($0) == length } }

    /// Rows of [B * L] that hold real events, timeline by timeline.
    var realRows: [Int32] {
        lengths.enumerated().flatMap { row, length in
            (0..<length).map { Int32(row * self.length) + $0 }
        }
    }

    /// Some rows of [B * L], packed as if they were one timeline.
    func packed(_ rows: ArraySlice<Int32>) -> EventBatch {
        var result = EventBatch(count: 1, length: rows.count, lengths: [Int32(rows.count)])
        func taken(_ values: [Int32]) -> [Int32] { rows.map { values[Int($0)] } }
        result.items = taken(items)
        result.unknownItems = taken(unknownItems)
        result.ratings = taken(ratings)
        result.timeGaps = taken(timeGaps)
        result.times = taken(times)
        if !masks.isEmpty { result.masks = taken(masks) }
        for row in rows.map(Int.init) {
            result.categories += categories[Int(categoryOffsets[row])..<Int(categoryOffsets[row + 1])]
            result.categoryOffsets.append(Int32(result.categories.count))
        }
        return result
    }

    /// The same timelines, each with a masked event appended.
    func appendingMask() -> EventBatch {
        var result = EventBatch(count: count, length: length + 1, lengths: lengths.map { $0 + 1 })
        result.masks = Array(repeating: -1, count: result.items.count)
        for row in 0..<count {
            for position in 0...length {
                let (old, new) = (row * length + position, row * (length + 1) + position)
                if position == Int(lengths[row]) {
                    result.hide(new, time: position == 0 ? 0 : times[old - 1])
                    continue
                }
                if position < Int(lengths[row]) {
                    result.items[new] = items[old]
                    result.unknownItems[new] = unknownItems[old]
                    result.ratings[new] = ratings[old]
                    result.timeGaps[new] = timeGaps[old]
                    result.times[new] = times[old]
                    result.categories += categories[Int(categoryOffsets[old])..<Int(categoryOffsets[old + 1])]
                    if !masks.isEmpty, masks[old] == 0 { result.masks[new] = 0 }
                }
                result.categoryOffsets.append(Int32(result.categories.count))
            }
        }
        return result
    }

    /// Replaces some known items with a random bucket, so that the encoder learns to read an item by its categories.
    ///
    /// - Parameters:
    ///   - probability: the probability of replacing each item.
    ///   - buckets: number of buckets for unknown items.
    ///   - generator: source of the random draws.
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

/// Windows of events and the targets at their positions: the input of one encoder training step.
///
/// A position's target is the next event; where events are masked, the masked one.
public struct NextEventBatch: Sendable {
    /// The events that are read.
    public var events: EventBatch
    /// The item to predict at each position, shape [B, L]; -1 where there is none.
    public let targetItems: [Int32]
    /// The rating bucket to predict at each position, shape [B, L]; -1 where there is none.
    public let targetRatings: [Int32]
    /// Rows of [B * L] and one category to predict at each; a row appears once per category.
    public let targetCategories: [(row: Int32, category: Int32, weight: Float)]
    /// Negatives for the loss; nil for the whole catalogue.
    public var negatives: SharedNegatives?

    /// Number of positions with an item target.
    public var targetCount: Int { targetItems.count { $0 >= 0 } }

    /// The rows of [B * L] with an item target, and the items.
    var knownTargets: (rows: [Int32], items: [Int32]) {
        let rows = targetItems.indices.filter { targetItems[$0] >= 0 }
        return (rows.map(Int32.init), rows.map { targetItems[$0] })
    }

    /// Makes a batch of windows: each event is the target of the events before it.
    ///
    /// - Parameters:
    ///   - windows: up to `length` + 1 events each, oldest first.
    ///   - length: positions of each row; nil uses the length of the longest window.
    public init(windows: [ArraySlice<IndexedEvent>], length: Int? = nil) {
        let events = EventBatch(windows.map { $0.dropLast() }, length: length)
        let targets = windows.enumerated().flatMap { row, window in
            window.dropFirst().enumerated().map { (row * events.length + $0, $1) }
        }
        self.init(events: events, targets: targets)
    }

    /// Makes a batch of windows in which some events are masked and are the targets.
    ///
    /// - Parameters:
    ///   - windows: the events, oldest first.
    ///   - share: the probability of masking an event; if none in a window is masked, the last one is.
    ///   - lastShare: the fraction of windows in which only the last event is masked, as in prediction.
    ///   - generator: source of the random draws.
    public init(
        masking windows: [ArraySlice<IndexedEvent>],
        share: Float,
        lastShare: Float,
        using generator: inout some RandomNumberGenerator
    ) {
        var hidden: [Set<Int>] = []
        for window in windows {
            let last: Set = [window.count - 1]
            guard Float.random(in: 0..<1, using: &generator) >= lastShare else {
                hidden.append(last)
                continue
            }
            let drawn = (0..<window.count).filter { _ in Float.random(in: 0..<1, using: &generator) < share }
            hidden.append(drawn.isEmpty ? last : Set(drawn))
        }
        let events = EventBatch(windows, length: nil) { hidden[$0].contains($1) }
        let targets = windows.enumerated().flatMap { row, window in
            window.enumerated().filter { hidden[row].contains($0.offset) }.map { (row * events.length + $0, $1) }
        }
        self.init(events: events, targets: targets)
    }

    private init(events: EventBatch, targets: [(cell: Int, event: IndexedEvent)]) {
        self.events = events
        var items = [Int32](repeating: -1, count: events.count * events.length)
        var ratings = items
        var categories: [(row: Int32, category: Int32, weight: Float)] = []
        for (cell, event) in targets {
            items[cell] = event.item
            ratings[cell] = event.rating > 0 ? event.rating : -1
            for category in event.categories {
                categories.append((Int32(cell), category, 1 / Float(event.categories.count)))
            }
        }
        targetItems = items
        targetRatings = ratings
        targetCategories = categories
    }
}
