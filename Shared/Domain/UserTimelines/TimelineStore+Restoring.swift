import Messages

extension TimelineStore {
    /// Puts a stored timeline in the place of an older one.
    static func restore(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        length: Int,
        into timeline: inout PackedTimeline,
        _ names: inout NameTables,
        _ numbers: inout EventNumbers,
        _ scratch: inout [UInt8]
    ) throws(MessageError) {
        var head = timeline.head().head
        guard
            (head.generation, head.eventCount, head.lastOffset)
                <= (columns.generation, columns.eventCount, columns.lastOffset)
        else { return }
        try names.retain(columns, from: bytes, last: length, &numbers)
        release(timeline, &names)
        head.generation = columns.generation
        head.eventCount = columns.eventCount
        head.lastOffset = columns.lastOffset
        head.sources = columns.sources
        head.lastTime = columns.eventTimes.last ?? 0
        head.earlierItems = numbers.earlierItems
        head.storedByteCount =
            numbers.events[..<numbers.count].reduce(0) { $0 + $1.byteCount }
            + head.earlierItems.reduce(0) { $0 + names.storedByteCount(ofEarlierItem: $1) }
        dropEarlierItems(of: &head, &names)
        var first = 0
        while head.storedByteCount > Limits.timelineByteCount, first < numbers.count - 1 {
            head.storedByteCount -= numbers.events[first].byteCount
            names.release(item: numbers.events[first].item, list: numbers.events[first].list)
            first += 1
        }
        head.heldCount = numbers.count - first
        reserve(
            PackedTimeline.maximumByteCount(of: head) + head.heldCount * PackedTimeline.maximumEventByteCount,
            &scratch
        )
        var position = 0
        var target = scratch.mutableSpan
        PackedTimeline.write(head, to: &target, at: &position)
        write(columns, numbers, from: first, to: &target, at: &position)
        timeline.replace(with: scratch[..<position])
    }

    private static func write(
        _ columns: TimelineColumns,
        _ numbers: EventNumbers,
        from first: Int,
        to target: inout MutableSpan<UInt8>,
        at position: inout Int
    ) {
        // Each is read once: the columns are another module's.
        let (ratings, eventRatings) = (columns.ratings, columns.eventRatings)
        let (times, digests) = (columns.eventTimes, columns.eventIDs)
        let offset = times.count - numbers.count
        for index in first..<numbers.count {
            let place = offset + index
            let rating = eventRatings.isEmpty ? 0 : eventRatings[place]
            let digest = digests.isEmpty ? 0 : digests[place]
            PackedTimeline.write(
                PackedTimeline.Event(
                    item: numbers.events[index].item,
                    list: numbers.events[index].list,
                    rating: rating == 0 ? nil : ratings[Int(rating - 1)],
                    gap: index == first ? 0 : times[place] - times[place - 1],
                    idDigest: digest == 0 ? nil : digest
                ),
                to: &target,
                at: &position
            )
        }
    }
}
