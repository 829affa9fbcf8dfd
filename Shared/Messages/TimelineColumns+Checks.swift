extension TimelineColumns {
    /// Checks all numbers: a reader may use them as positions without looking again.
    func check() throws(MessageError) {
        try Check.identifier(user, "user")
        try Check.count(eventCount, "event_count")
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
        try check(eventItems, "event_items", count: count, below: items.count)
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
