public import Bytes

/// A stored timeline as laid out in its record: tables of distinct values, and for each event its indices into them.
///
/// For readers of many timelines: texts stay in the record's bytes, and an instance that reads one record after another
/// reuses its memory. `timeline.proto` describes the record.
public struct TimelineColumns: Sendable {
    /// Whose timeline it is.
    public private(set) var user: UserID = ""
    /// The number of the rebuild that made it.
    public private(set) var generation: UInt32 = 0
    /// How many events the user ever had.
    public private(set) var eventCount: UInt64 = 0
    /// Offset of the last event that was applied; -1 before the first.
    public private(set) var lastOffset: Int64 = -1
    /// For each other partition that records were rerouted from, the last one that was applied, ordered by partition.
    public private(set) var sources: [Timeline.Source] = []

    /// Where the items' ids lie in the record: those of the events, then those of earlier events.
    public private(set) var items: [Range<Int>] = []
    /// Where the categories' names lie in the record.
    public private(set) var categories: [Range<Int>] = []
    /// Where each list of categories lies in `listEntries`.
    public private(set) var lists: [Range<Int>] = []
    /// The entries of the lists, as positions in `categories`, with something between them.
    public private(set) var listEntries: [UInt32] = []
    /// The ratings, all finite.
    public private(set) var ratings: [Float] = []

    /// Each event's item, as a position in `items`; oldest first.
    public private(set) var eventItems: [UInt32] = []
    /// For each event 0 without categories, else 1 + the position of its list; or no entry at all, which is all zero.
    public private(set) var eventLists: [UInt32] = []
    /// For each event 0 without a rating, else 1 + its position in `ratings`; or no entry at all, which is all zero.
    public private(set) var eventRatings: [UInt32] = []
    /// When each event happened, in milliseconds since 1970.
    public private(set) var eventTimes: [Int64] = []
    /// For each event 0 without an id, else its digest; or no entry at all, which is all zero.
    public private(set) var eventIDs: [UInt64] = []

    /// How many of `items`, at the end, are of earlier events.
    private(set) var earlierItemCount = 0
    private var timeUnit: UInt64 = 1
    private var sourcePartitions: [UInt32] = []
    private var sourceOffsets: [UInt64] = []

    /// The positions in `items` of those of earlier events, in the order of their last events, oldest first.
    public var earlierItems: Range<Int> { items.indices.suffix(earlierItemCount) }

    /// Makes columns without events.
    public init() {}

    /// Reads a record in Protocol Buffers.
    ///
    /// Texts are not validated: the first user of one validates it with `item` or `category`.
    ///
    /// - Parameter bytes: the record's value.
    /// - Throws: `MessageError` for bytes that are not a timeline; the columns read before are then lost.
    public mutating func read(_ bytes: Span<UInt8>) throws(MessageError) {
        clear()
        var cursor = ProtobufCursor(0..<bytes.count)
        while !cursor.isAtEnd {
            let (number, type) = try cursor.field(bytes)
            // By far the most frequent case.
            if number == 6, type == .bytes {
                items.append(try cursor.range(bytes))
            } else {
                try readField(number, type, &cursor, bytes)
            }
        }
        try splitLists()
        try addTimes()
        try joinSources()
        try check()
    }

    /// An item's id, checked.
    public static func item(_ bytes: Span<UInt8>) throws(MessageError) -> ItemID {
        let text = ItemID(try validText(bytes, "items"))
        try Check.identifier(text, "items")
        return text
    }

    /// A category's name, checked.
    public static func category(_ bytes: Span<UInt8>) throws(MessageError) -> String {
        let text = try validText(bytes, "categories")
        try Check.categories([text], "categories")
        return text
    }

    // MARK: - Fields

    private mutating func clear() {
        user = ""
        generation = 0
        eventCount = 0
        lastOffset = -1
        timeUnit = 1
        earlierItemCount = 0
        items.removeAll(keepingCapacity: true)
        categories.removeAll(keepingCapacity: true)
        lists.removeAll(keepingCapacity: true)
        listEntries.removeAll(keepingCapacity: true)
        ratings.removeAll(keepingCapacity: true)
        eventItems.removeAll(keepingCapacity: true)
        eventLists.removeAll(keepingCapacity: true)
        eventRatings.removeAll(keepingCapacity: true)
        eventTimes.removeAll(keepingCapacity: true)
        eventIDs.removeAll(keepingCapacity: true)
        sources.removeAll(keepingCapacity: true)
        sourcePartitions.removeAll(keepingCapacity: true)
        sourceOffsets.removeAll(keepingCapacity: true)
    }

    private mutating func readField(
        _ number: UInt64,
        _ type: ProtobufCursor.WireType,
        _ cursor: inout ProtobufCursor,
        _ bytes: Span<UInt8>
    ) throws(MessageError) {
        switch (number, type) {
        case (1, .bytes): user = UserID(try validText(bytes.extracting(try cursor.range(bytes)), "user"))
        case (2, .varint): generation = try cursor.varint32(bytes)
        case (3, .varint): eventCount = try cursor.varint(bytes)
        case (4, .varint): lastOffset = try cursor.zigzag(bytes)
        case (7, .bytes): categories.append(try cursor.range(bytes))
        case (8, .bytes): try Self.append(try cursor.range(bytes), bytes, to: &listEntries)
        case (8, .varint): listEntries.append(try cursor.varint32(bytes))
        case (9, .bytes):
            var column = ProtobufCursor(try cursor.range(bytes))
            while !column.isAtEnd { ratings.append(Float(bitPattern: try column.fixed32(bytes))) }
        case (9, .fixed32): ratings.append(Float(bitPattern: try cursor.fixed32(bytes)))
        case (10, .bytes): try Self.append(try cursor.range(bytes), bytes, to: &eventItems)
        case (10, .varint): eventItems.append(try cursor.varint32(bytes))
        case (11, .bytes): try Self.append(try cursor.range(bytes), bytes, to: &eventLists)
        case (11, .varint): eventLists.append(try cursor.varint32(bytes))
        case (12, .bytes): try Self.append(try cursor.range(bytes), bytes, to: &eventRatings)
        case (12, .varint): eventRatings.append(try cursor.varint32(bytes))
        case (13, .bytes):
            var column = ProtobufCursor(try cursor.range(bytes))
            let first = Self.extend(&eventTimes, by: column.varintCount(bytes))
            var numbers = eventTimes.mutableSpan
            for index in first..<numbers.count { numbers[index] = try column.zigzag(bytes) }
            guard column.isAtEnd else { throw column.damaged("a number does not end") }
        case (13, .varint): eventTimes.append(try cursor.zigzag(bytes))
        case (14, .varint): timeUnit = try cursor.varint(bytes)
        case (15, .bytes):
            var column = ProtobufCursor(try cursor.range(bytes))
            while !column.isAtEnd { eventIDs.append(try column.fixed64(bytes)) }
        case (15, .fixed64): eventIDs.append(try cursor.fixed64(bytes))
        case (16, .bytes): try Self.append(try cursor.range(bytes), bytes, to: &sourcePartitions)
        case (16, .varint): sourcePartitions.append(try cursor.varint32(bytes))
        case (17, .bytes):
            var column = ProtobufCursor(try cursor.range(bytes))
            while !column.isAtEnd { sourceOffsets.append(try column.varint(bytes)) }
        case (17, .varint): sourceOffsets.append(try cursor.varint(bytes))
        case (18, .varint): earlierItemCount = Int(try cursor.varint32(bytes))
        default: try cursor.skip(type, bytes)
        }
    }

    private static func append(
        _ range: Range<Int>,
        _ bytes: Span<UInt8>,
        to numbers: inout [UInt32]
    ) throws(MessageError) {
        var column = ProtobufCursor(range)
        let first = extend(&numbers, by: column.varintCount(bytes))
        var numbers = numbers.mutableSpan
        for index in first..<numbers.count { numbers[index] = try column.varint32(bytes) }
        guard column.isAtEnd else { throw column.damaged("a number does not end") }
    }

    /// Extends the array, and returns where the new part begins.
    private static func extend<Number: FixedWidthInteger>(_ numbers: inout [Number], by count: Int) -> Int {
        numbers.append(contentsOf: repeatElement(0, count: count))
        return numbers.count - count
    }

    private mutating func joinSources() throws(MessageError) {
        guard sourcePartitions.count == sourceOffsets.count else {
            throw MessageError(
                field: "source_offsets",
                reason: "has \(sourceOffsets.count) entries for \(sourcePartitions.count) partitions"
            )
        }
        for (partition, offset) in zip(sourcePartitions, sourceOffsets) {
            // A number that does not fit becomes negative, which validation rejects.
            sources.append(
                Timeline.Source(partition: Int32(bitPattern: partition), offset: Int64(bitPattern: offset))
            )
        }
    }

    private mutating func splitLists() throws(MessageError) {
        var position = 0
        while position < listEntries.count {
            let count = Int(listEntries[position])
            guard count > 0, count <= listEntries.count - position - 1 else {
                throw MessageError(
                    field: "category_lists",
                    reason: "has a list of \(count) entries at \(position), and \(listEntries.count) numbers in all"
                )
            }
            lists.append((position + 1)..<(position + 1 + count))
            position += 1 + count
        }
    }

    private mutating func addTimes() throws(MessageError) {
        guard timeUnit >= 1, timeUnit <= 86_400_000 else {
            throw MessageError(field: "time_unit", reason: "\(timeUnit) is not from 1 to 86400000 milliseconds")
        }
        let unit = Int64(timeUnit)
        var time: Int64 = 0
        var times = eventTimes.mutableSpan
        for index in times.indices {
            let (steps, isFar) = times[index].multipliedReportingOverflow(by: unit)
            let (sum, isTooFar) = time.addingReportingOverflow(steps)
            time = sum
            guard !isFar, !isTooFar, Limits.times.contains(time) else {
                return try Check.time(isFar || isTooFar ? -1 : time, "event_times[\(index)]")
            }
            times[index] = time
        }
    }
}
