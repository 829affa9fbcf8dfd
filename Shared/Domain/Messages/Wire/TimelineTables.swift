import Bytes

/// The events of a timeline as `timeline.proto` stores them: tables of distinct values, and an index per event.
struct TimelineTables {
    private(set) var items: [ItemID] = []
    private(set) var categories: [TextKey] = []
    /// The length of the first list, its categories as positions in `categories`, the length of the second, and so on.
    private(set) var flatLists: [UInt32] = []
    private(set) var ratings: [Float] = []
    private(set) var eventItems: [UInt32] = []
    private(set) var eventLists: [UInt32] = []
    private(set) var eventRatings: [UInt32] = []
    private(set) var eventTimes: [Int64] = []
    private(set) var eventIDs: [UInt64] = []
    private(set) var hasIDs = false
    /// Milliseconds of a step of `eventTimes`: whole seconds take fewer bytes.
    let timeUnit: UInt32

    private var itemNumbers: [ItemID: UInt32] = [:]
    private var categoryNumbers: [TextKey: UInt32] = [:]
    private var listNumbers: [[UInt32]: UInt32] = [:]
    /// Keyed by bit pattern, so that -0 stays -0.
    private var ratingNumbers: [UInt32: UInt32] = [:]

    /// Makes the tables of events in their order.
    init(_ events: [TimelineEvent]) {
        timeUnit = events.allSatisfy { $0.time.isMultiple(of: 1_000) } ? 1_000 : 1
        itemNumbers.reserveCapacity(events.count)
        eventItems.reserveCapacity(events.count)
        var time: Int64 = 0
        for event in events {
            eventItems.append(Self.number(of: event.item, in: &items, &itemNumbers))
            eventLists.append(event.categories.isEmpty ? 0 : 1 + number(ofList: event.categories))
            eventRatings.append(event.rating.map { 1 + number(ofRating: $0) } ?? 0)
            eventTimes.append((event.time - time) / Int64(timeUnit))
            time = event.time
            eventIDs.append(event.idDigest ?? 0)
            if event.idDigest != nil { hasIDs = true }
        }
    }

    private static func number<Key: ByteText>(
        of text: Key,
        in table: inout [Key],
        _ numbers: inout [Key: UInt32]
    ) -> UInt32 {
        if let number = numbers[text] { return number }
        let number = UInt32(table.count)
        table.append(text)
        numbers[text] = number
        return number
    }

    private mutating func number(ofList list: [String]) -> UInt32 {
        let places = list.map { Self.number(of: TextKey($0), in: &categories, &categoryNumbers) }
        if let number = listNumbers[places] { return number }
        let number = UInt32(listNumbers.count)
        flatLists.append(UInt32(places.count))
        flatLists += places
        listNumbers[places] = number
        return number
    }

    private mutating func number(ofRating rating: Float) -> UInt32 {
        if let number = ratingNumbers[rating.bitPattern] { return number }
        let number = UInt32(ratings.count)
        ratings.append(rating)
        ratingNumbers[rating.bitPattern] = number
        return number
    }
}
