extension TimelineColumns {
    /// Validates all numbers, so that a reader may use them as indices without checking again.
    func check() throws(MessageError) {
        try Check.identifier(user, "user")
        try Self.check(generation: generation, eventCount: eventCount, lastOffset: lastOffset)
        try Self.check(sources)
        let count = eventItems.count
        guard count <= Limits.timelineEventCount, count <= eventCount else {
            throw MessageError(
                field: "events",
                reason: "has \(count) entries: send at most \(Limits.timelineEventCount) and no more than event_count, "
                    + "which is \(eventCount)"
            )
        }
        guard eventTimes.count == count else {
            throw MessageError(field: "event_times", reason: "has \(eventTimes.count) entries for \(count) events")
        }
        try Self.check(earlierItemCount: earlierItemCount, eventCount: count, of: eventCount)
        guard earlierItemCount <= items.count else {
            throw MessageError(
                field: "earlier_item_count",
                reason: "is \(earlierItemCount), and items has \(items.count) entries"
            )
        }
        try check(eventItems, "event_items", count: count, below: earlierItems.lowerBound)
        try check(eventLists, "event_category_lists", count: count, below: lists.count + 1)
        try check(eventRatings, "event_ratings", count: count, below: ratings.count + 1)
        guard eventIDs.isEmpty || eventIDs.count == count else {
            throw MessageError(field: "event_ids", reason: "has \(eventIDs.count) entries for \(count) events")
        }
        for list in lists { try check(list) }
        for (index, rating) in ratings.enumerated() where !rating.isFinite {
            throw MessageError(
                field: "ratings[\(index)]",
                reason: "\(rating) is not a finite number: send a finite one"
            )
        }
    }

    /// Limits a timeline's numbers so that events can follow it and rows can hold them as signed numbers.
    static func check(generation: UInt32, eventCount: UInt64, lastOffset: Int64) throws(MessageError) {
        try Check.range(generation, 0...Limits.generation, "generation")
        try Check.count(eventCount, "event_count")
        try Check.range(lastOffset, -1...Int64.max - 1, "last_offset")
    }

    /// Limits the items of earlier events: each had one of the user's events.
    static func check(earlierItemCount: Int, eventCount: Int, of allEvents: UInt64) throws(MessageError) {
        try Check.size(earlierItemCount, atMost: Limits.seenItemCount, "earlier_items")
        guard earlierItemCount == 0 || eventCount > 0 && eventCount + earlierItemCount <= allEvents else {
            throw MessageError(
                field: "earlier_items",
                reason: "has \(earlierItemCount) entries beside \(eventCount) events: send events too, and no more of "
                    + "both than event_count, which is \(allEvents)"
            )
        }
    }

    /// Ascending partitions and offsets; `name` is the prefix of their fields' names.
    static func check(_ sources: [Timeline.Source], _ name: String = "source") throws(MessageError) {
        try Check.size(sources.count, atMost: Limits.sourceCount, "\(name)_partitions")
        for (index, source) in sources.enumerated() {
            try Check.range(source.partition, 0...Int32.max, "\(name)_partitions[\(index)]")
            try Check.range(source.offset, 0...Int64.max - 1, "\(name)_offsets[\(index)]")
            guard index == 0 || sources[index - 1].partition < source.partition else {
                throw MessageError(
                    field: "\(name)_partitions[\(index)]",
                    reason: "is \(source.partition) after \(sources[index - 1].partition): send them in ascending order"
                )
            }
        }
    }

    private func check(
        _ numbers: [UInt32],
        _ field: String,
        count: Int,
        below limit: Int
    ) throws(MessageError) {
        guard numbers.isEmpty || numbers.count == count else {
            throw MessageError(field: field, reason: "has \(numbers.count) entries for \(count) events")
        }
        for index in numbers.indices where numbers[index] >= limit {
            throw MessageError(
                field: "\(field)[\(index)]",
                reason: "is \(numbers[index]), and its table has \(limit) entries"
            )
        }
    }

    private func check(_ list: Range<Int>) throws(MessageError) {
        guard list.count <= Limits.categoryCount else {
            throw MessageError(
                field: "category_lists",
                reason: "has a list of \(list.count) entries: send at most \(Limits.categoryCount)"
            )
        }
        for index in list where listEntries[index] >= categories.count {
            throw MessageError(
                field: "category_lists[\(index)]",
                reason: "is \(listEntries[index]), and categories has \(categories.count) entries"
            )
        }
    }
}
