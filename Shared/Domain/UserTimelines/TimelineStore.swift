import Failpoints
public import Bytes
public import Messages

/// The timelines of the users of the partitions this worker holds, packed.
///
/// A user of 50 events of MovieLens takes about 400 bytes, key and dictionary included, and two for each item of earlier
/// events.
public struct TimelineStore: Sendable {
    /// What became of an event.
    public enum Outcome: Equatable, Sendable {
        /// It is in the timeline now.
        case applied
        /// It was applied before: its offset, or that in the partition it was rerouted from, is not past the last; or
        /// it belongs to the past of a deleted user.
        case known
        /// The timeline holds an event with the same id, so this one is not counted again.
        case repeated
    }

    /// How many events a timeline keeps; `Timeline` says when it keeps fewer.
    public let length: Int
    private var partitions: [Int32: [UserID: PackedTimeline]] = [:]
    private var agreedOffsets: [Int32: Int64] = [:]
    /// The marks that deletions left of their users' sources.
    var marks: [Int32: PartitionMarks] = [:]
    private var names = NameTables()
    // Memory that is reused.
    private var scratch: [UInt8] = []
    private var numbers = EventNumbers()

    /// Makes an empty store for timelines of at most this many events.
    public init(length: Int) {
        precondition(length > 0, "a timeline keeps at least one event, not \(length)")
        self.length = length
    }

    /// How many users are held.
    public var userCount: Int { partitions.values.reduce(0) { $0 + $1.count } }
    /// How many different items are held.
    public var itemCount: Int { names.items.count }
    /// The partitions whose users are held.
    public var heldPartitions: Set<Int32> { Set(partitions.keys) }
    /// The bytes that the timelines of all users take, dictionaries and tables not counted.
    public var byteCount: Int {
        partitions.values.reduce(0) { sum, users in users.values.reduce(sum) { $0 + $1.byteCount } }
    }

    /// Whether the users of a partition are held.
    public func holds(_ partition: Int32) -> Bool { partitions[partition] != nil }

    /// The offset that the last events of enough users had reached when all timelines were restored; nil when there are
    /// too few users.
    ///
    /// All records of the batches before that event's were applied. Its own batch may be incomplete, if its commit
    /// broke off in a way that left only some of its outputs.
    public func agreedOffset(of partition: Int32) -> Int64? {
        Protection.replayGuard.isOff ? nil : agreedOffsets[partition]
    }

    /// Declares that all stored timelines of a partition were read; only now is the newest of each user known.
    public mutating func finishRestore(of partition: Int32) {
        guard let users = partitions[partition] else { return }
        agreedOffsets[partition] = Agreement.offset(among: users.values.lazy.map(\.lastOffset))
    }

    /// Starts to hold the users of a partition, none at first.
    public mutating func open(_ partition: Int32) {
        drop(partition)
        partitions[partition] = [:]
    }

    /// Forgets the users of a partition.
    public mutating func drop(_ partition: Int32) {
        agreedOffsets[partition] = nil
        marks[partition] = nil
        guard let users = partitions.removeValue(forKey: partition) else { return }
        for timeline in users.values { Self.release(timeline, &names) }
    }

    /// Takes a stored timeline; of several of one user, the newest is kept.
    ///
    /// Of a timeline with more events than this store keeps, the newest are taken, and the items of the others.
    ///
    /// - Parameters:
    ///   - columns: the timeline, just read from `bytes`.
    ///   - bytes: the record's value.
    ///   - partition: the user's partition.
    /// - Throws: `MessageError` for a text that no event may have; the store is then unchanged.
    public mutating func restore(
        _ columns: TimelineColumns,
        from bytes: Span<UInt8>,
        in partition: Int32
    ) throws(MessageError) {
        do {
            try Self.restore(
                columns,
                from: bytes,
                length: length,
                into: &partitions[partition, default: [:]][columns.user, default: PackedTimeline()],
                &names,
                &numbers,
                &scratch
            )
        } catch {
            if partitions[partition]?[columns.user]?.byteCount == 0 { remove(columns.user, in: partition) }
            throw error
        }
    }

    /// Adds an event to its user's timeline, unless the timeline already has it.
    ///
    /// - Parameters:
    ///   - event: the event.
    ///   - user: the user.
    ///   - partition: the user's partition.
    ///   - offset: the event's offset there. One that is not past the last applied was applied before.
    ///   - source: for a rerouted record, its position in the other partition. One that is not past the last from there
    ///     was applied before.
    /// - Returns: what became of it.
    public mutating func apply(
        _ event: TimelineEvent,
        of user: UserID,
        in partition: Int32,
        offset: Int64,
        source: Timeline.Source? = nil
    ) -> Outcome {
        if let source, isForgotten(eventFrom: source, in: partition, at: offset) { return .known }
        return Self.apply(
            event,
            at: offset,
            source,
            length: length,
            to: &partitions[partition, default: [:]][user, default: PackedTimeline()],
            &names,
            &scratch
        )
    }

    /// Deletes a user, unless the user has later events than the deletion; the sources of the user's rerouted records
    /// are kept as marks.
    ///
    /// - Parameters:
    ///   - user: the user.
    ///   - partition: the user's partition.
    ///   - offset: the deletion's offset there.
    ///   - source: for a rerouted deletion, its position in the other partition.
    /// - Returns: false when the deletion was applied before: the timeline has a later event, or the position it was
    ///   rerouted from belongs to a deleted user's past.
    public mutating func remove(
        _ user: UserID,
        in partition: Int32,
        at offset: Int64,
        source: Timeline.Source? = nil
    ) -> Bool {
        if let source, isForgotten(deletionFrom: source, in: partition, at: offset) { return false }
        let head = partitions[partition]?[user]?.head().head
        if let head, Self.knows(offset, source, head) { return false }
        var sources = head?.sources ?? []
        if let source { sources.append(source) }
        leaveMarks(sources, in: partition, deletion: offset)
        remove(user, in: partition)
        return true
    }

    /// Starts over a user whose stored timeline cannot be used, unless the user has another.
    ///
    /// - Parameters:
    ///   - user: the user.
    ///   - partition: the user's partition.
    ///   - generation: greater than that of any row, so that new rows replace old ones.
    public mutating func begin(_ user: UserID, in partition: Int32, generation: UInt32) {
        guard partitions[partition]?[user] == nil else { return }
        var head = PackedTimeline.Head()
        head.generation = generation
        Self.replace(
            upTo: 0,
            of: &partitions[partition, default: [:]][user, default: PackedTimeline()],
            with: head,
            nil,
            &scratch
        )
    }

    /// Forgets a user.
    public mutating func remove(_ user: UserID, in partition: Int32) {
        guard let timeline = partitions[partition]?.removeValue(forKey: user) else { return }
        Self.release(timeline, &names)
    }

    /// About how many bytes a user's timeline takes when it is stored.
    func storedByteCount(of user: UserID, in partition: Int32) -> Int {
        guard let head = partitions[partition]?[user]?.head().head else { return 0 }
        return head.storedByteCount + 16 * head.sources.count
    }

    /// A user's timeline; nil when there is none.
    public func timeline(of user: UserID, in partition: Int32) -> Timeline? {
        guard let packed = partitions[partition]?[user] else { return nil }
        var (head, position) = packed.head()
        var timeline = Timeline(
            user: user,
            generation: head.generation,
            eventCount: head.eventCount,
            lastOffset: head.lastOffset,
            sources: head.sources,
            earlierItems: head.earlierItems.map { names.item($0) }
        )
        timeline.events.reserveCapacity(head.heldCount)
        var gaps: [Int64] = []
        for _ in 0..<head.heldCount {
            let event = packed.event(at: &position)
            gaps.append(event.gap)
            timeline.events.append(
                TimelineEvent(
                    item: names.item(event.item),
                    rating: event.rating,
                    categories: names.categories(ofList: event.list),
                    time: 0,
                    idDigest: event.idDigest
                )
            )
        }
        for index in gaps.indices.reversed() {
            timeline.events[index].time = head.lastTime
            head.lastTime -= gaps[index]
        }
        return timeline
    }
}

extension TimelineStore {
    private static func apply(
        _ event: TimelineEvent,
        at offset: Int64,
        _ source: Timeline.Source?,
        length: Int,
        to timeline: inout PackedTimeline,
        _ names: inout NameTables,
        _ scratch: inout [UInt8]
    ) -> Outcome {
        var (head, position) = timeline.head()
        if knows(offset, source, head) { return .known }
        head.lastOffset = offset
        if let source { head.note(source) }
        if let digest = event.idDigest, holds(timeline, head, position, where: { $0.idDigest == digest }),
            !Protection.eventIDs.isOff
        {
            replace(upTo: position, of: &timeline, with: head, nil, &scratch)
            return .repeated
        }
        let new = PackedTimeline.Event(
            item: names.retainItem(event.item),
            list: names.retainList(event.categories),
            rating: event.rating,
            gap: head.heldCount == 0 ? 0 : event.time - head.lastTime,
            idDigest: event.idDigest
        )
        if let place = head.earlierItems.firstIndex(of: new.item) {
            head.earlierItems.remove(at: place)
            head.storedByteCount -= names.storedByteCount(ofEarlierItem: new.item)
            names.release(item: new.item)
        }
        while head.heldCount >= length {
            let item = dropOldestEvent(of: timeline, &head, &position, &names)
            if item == new.item || holds(timeline, head, position, where: { $0.item == item }) {
                names.release(item: item)
            } else {
                // The event's reference remains.
                head.earlierItems.append(item)
                head.storedByteCount += names.storedByteCount(ofEarlierItem: item)
            }
        }
        head.storedByteCount += names.storedByteCount(item: new.item, list: new.list)
        dropEarlierItems(of: &head, &names)
        while head.heldCount > 0, head.storedByteCount > Limits.timelineByteCount {
            names.release(item: dropOldestEvent(of: timeline, &head, &position, &names))
        }
        head.heldCount += 1
        // Restored timelines are limited so that events can follow.
        head.eventCount = min(head.eventCount, UInt64(Int64.max) - 1) + 1
        head.lastTime = event.time
        replace(upTo: position, of: &timeline, with: head, new, &scratch)
        return .applied
    }

    /// Takes the event at a position out of its head's numbers, and returns its item, whose reference is the caller's.
    private static func dropOldestEvent(
        of timeline: PackedTimeline,
        _ head: inout PackedTimeline.Head,
        _ position: inout Int,
        _ names: inout NameTables
    ) -> UInt32 {
        let oldest = timeline.event(at: &position)
        head.storedByteCount -= names.storedByteCount(item: oldest.item, list: oldest.list)
        head.heldCount -= 1
        names.release(list: oldest.list)
        return oldest.item
    }

    /// Drops the oldest of the earlier items that are too many, or too large beside the events.
    static func dropEarlierItems(of head: inout PackedTimeline.Head, _ names: inout NameTables) {
        let count = head.earlierItems.count
        var first = 0
        while first < count,
            count - first > Limits.seenItemCount || head.storedByteCount > Limits.timelineByteCount
        {
            head.storedByteCount -= names.storedByteCount(ofEarlierItem: head.earlierItems[first])
            names.release(item: head.earlierItems[first])
            first += 1
        }
        head.earlierItems.removeFirst(first)
    }

    /// Whether a record was applied before.
    private static func knows(_ offset: Int64, _ source: Timeline.Source?, _ head: PackedTimeline.Head) -> Bool {
        if offset <= head.lastOffset, !Protection.replayGuard.isOff { return true }
        guard let source else { return false }
        return source.offset <= head.lastOffset(from: source.partition) && !Protection.sourceGuard.isOff
    }

    static func reserve(_ byteCount: Int, _ scratch: inout [UInt8]) {
        guard scratch.count < byteCount else { return }
        scratch = [UInt8](repeating: 0, count: byteCount)
    }

    private static func replace(
        upTo position: Int,
        of timeline: inout PackedTimeline,
        with head: PackedTimeline.Head,
        _ event: PackedTimeline.Event?,
        _ scratch: inout [UInt8]
    ) {
        reserve(PackedTimeline.maximumByteCount(of: head) + PackedTimeline.maximumEventByteCount, &scratch)
        var end = 0
        var target = scratch.mutableSpan
        PackedTimeline.write(head, to: &target, at: &end)
        let headEnd = end
        if let event { PackedTimeline.write(event, to: &target, at: &end) }
        timeline.replace(upTo: position, with: scratch[..<headEnd], adding: scratch[headEnd..<end])
    }

    /// Whether one of a timeline's events, from a position on, is such a one.
    @inline(__always)
    private static func holds(
        _ timeline: PackedTimeline,
        _ head: PackedTimeline.Head,
        _ position: Int,
        where isWanted: (PackedTimeline.Event) -> Bool
    ) -> Bool {
        var position = position
        for _ in 0..<head.heldCount where isWanted(timeline.event(at: &position)) { return true }
        return false
    }

    static func release(_ timeline: PackedTimeline, _ names: inout NameTables) {
        var (head, position) = timeline.head()
        for item in head.earlierItems { names.release(item: item) }
        while head.heldCount > 0 {
            let event = timeline.event(at: &position)
            names.release(item: event.item, list: event.list)
            head.heldCount -= 1
        }
    }
}
