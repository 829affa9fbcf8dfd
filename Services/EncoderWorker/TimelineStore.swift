import Failpoints
import Messages

/// The timelines of the users of the partitions this worker holds, packed.
///
/// An event takes 16 bytes: its item and its rating with categories are numbers of shared tables. A user of 50 events
/// takes less than 1 KB, keys and dictionary included.
struct TimelineStore {
    /// What an event brings beside item and time; a few thousand different ones at most in practice.
    private struct Attributes: Hashable {
        let rating: Float?
        let categories: [String]
    }

    private struct PackedEvent {
        let time: Int64
        let item: UInt32
        let attributes: UInt32
    }

    private struct PackedTimeline {
        var eventCount: UInt64
        var lastOffset: Int64
        var generation: UInt32
        var events: [PackedEvent]
    }

    /// What became of an event.
    enum Outcome: Equatable {
        /// It is in the timeline now.
        case applied
        /// The timeline knew it already.
        case known
    }

    /// How many events a timeline keeps.
    let length: Int
    private var partitions: [Int32: [String: PackedTimeline]] = [:]
    private var items = InternTable<String>()
    private var attributes = InternTable<Attributes>()

    /// Makes an empty store for timelines of at most this many events.
    init(length: Int) {
        precondition(length > 0, "a timeline keeps at least one event, not \(length)")
        self.length = length
    }

    /// How many users are held.
    var userCount: Int { partitions.values.reduce(0) { $0 + $1.count } }
    /// How many different items are held.
    var itemCount: Int { items.count }
    /// The partitions whose users are held.
    var heldPartitions: Set<Int32> { Set(partitions.keys) }

    /// Whether the users of a partition are held.
    func holds(_ partition: Int32) -> Bool { partitions[partition] != nil }

    /// Begins to hold the users of a partition, none at first.
    mutating func open(_ partition: Int32) {
        drop(partition)
        partitions[partition] = [:]
    }

    /// Forgets the users of a partition.
    mutating func drop(_ partition: Int32) {
        guard let users = partitions.removeValue(forKey: partition) else { return }
        for timeline in users.values { release(timeline.events) }
    }

    /// Takes a timeline as it was stored; of several of one user the newest stays.
    mutating func restore(_ timeline: Timeline, in partition: Int32) {
        if let held = partitions[partition]?[timeline.user] {
            guard (held.generation, held.eventCount) <= (timeline.generation, timeline.eventCount) else { return }
            release(held.events)
        }
        partitions[partition, default: [:]][timeline.user] = PackedTimeline(
            eventCount: timeline.eventCount,
            lastOffset: timeline.lastOffset,
            generation: timeline.generation,
            events: timeline.events.suffix(length).map { pack($0) }
        )
    }

    /// Adds an event to its user's timeline, unless the timeline knows it already.
    ///
    /// - Parameters:
    ///   - event: the event.
    ///   - user: whose it is.
    ///   - partition: the user's partition.
    ///   - offset: the event's offset there. One that is not past the last applied was applied before.
    /// - Returns: whether the timeline changed.
    mutating func apply(_ event: TimelineEvent, of user: String, in partition: Int32, offset: Int64) -> Outcome {
        // Taken out of the dictionary while it changes, so that the array is not copied.
        var timeline =
            partitions[partition]?.removeValue(forKey: user)
            ?? PackedTimeline(eventCount: 0, lastOffset: -1, generation: 0, events: [])
        defer { partitions[partition, default: [:]][user] = timeline }
        guard offset > timeline.lastOffset || Protection.replayGuard.isOff else { return .known }
        if timeline.events.count >= length {
            let surplus = timeline.events.count - length + 1
            release(Array(timeline.events.prefix(surplus)))
            timeline.events.removeFirst(surplus)
        } else if timeline.events.count == timeline.events.capacity {
            // Swift doubles; a quarter more wastes less over millions of users.
            timeline.events.reserveCapacity(min(length, timeline.events.count + max(4, timeline.events.count / 4)))
        }
        timeline.events.append(pack(event))
        timeline.eventCount += 1
        timeline.lastOffset = offset
        return .applied
    }

    /// Forgets a user.
    mutating func remove(_ user: String, in partition: Int32) {
        guard let timeline = partitions[partition]?.removeValue(forKey: user) else { return }
        release(timeline.events)
    }

    /// A user's timeline; nil when there is none.
    func timeline(of user: String, in partition: Int32) -> Timeline? {
        guard let packed = partitions[partition]?[user] else { return nil }
        return Timeline(
            user: user,
            generation: packed.generation,
            eventCount: packed.eventCount,
            lastOffset: packed.lastOffset,
            events: packed.events.map { unpack($0) }
        )
    }

    /// The bytes that the events of all users take, tables not counted.
    var eventByteCount: Int {
        partitions.values.reduce(0) { sum, users in
            sum + users.values.reduce(0) { $0 + $1.events.capacity * MemoryLayout<PackedEvent>.stride }
        }
    }

    private mutating func pack(_ event: TimelineEvent) -> PackedEvent {
        PackedEvent(
            time: event.time,
            item: items.retain(event.item),
            attributes: attributes.retain(Attributes(rating: event.rating, categories: event.categories))
        )
    }

    private func unpack(_ event: PackedEvent) -> TimelineEvent {
        let attributes = attributes[event.attributes]
        return TimelineEvent(
            item: items[event.item],
            rating: attributes.rating,
            categories: attributes.categories,
            time: event.time
        )
    }

    private mutating func release(_ events: [PackedEvent]) {
        for event in events {
            items.release(event.item)
            attributes.release(event.attributes)
        }
    }
}
