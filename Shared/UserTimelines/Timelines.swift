import Identifiers
public import Messages
public import Streams

/// The encoder worker's state: the timelines of the partitions it holds.
public actor Timelines {
    /// What is held, for metrics.
    public struct Size: Sendable {
        /// Partitions whose users are held.
        public let partitions: Int
        /// Users.
        public let users: Int
        /// Different items.
        public let items: Int
    }

    /// What became of stored timelines.
    public struct Restored: Sendable {
        /// How many records there were.
        public private(set) var recordCount = 0
        /// How many are no timelines that can be used.
        public private(set) var refusedCount = 0
        /// Why the first of them are none, with their places.
        public private(set) var refusals: [MessageError] = []
        /// How many lie in a partition that is not their users'.
        public private(set) var foreignCount = 0

        /// Begins with none.
        public init() {}

        /// Adds more.
        public mutating func add(_ more: Restored) {
            recordCount += more.recordCount
            refusedCount += more.refusedCount
            foreignCount += more.foreignCount
            refusals += more.refusals.prefix(max(0, 5 - refusals.count))
        }

        fileprivate mutating func count(isForeign: Bool) {
            recordCount += 1
            if isForeign { foreignCount += 1 }
        }

        fileprivate mutating func count(_ refusal: MessageError) {
            recordCount += 1
            refusedCount += 1
            if refusals.count < 5 { refusals.append(refusal) }
        }
    }

    /// An event count that is no further past the number of the log's offsets may be of a topic that was made anew.
    public static let countSlack: Int64 = 1_000_000

    private let partitionCount: Int32
    private var store: TimelineStore
    private var columns = TimelineColumns()
    /// Offsets of records that were rejected and are in the log of rejected records, by partition.
    private var rejected: [Int32: Set<Int64>] = [:]
    /// Users of whom a stored timeline was refused, and a generation that is past it.
    private var refused: [Int32: [UserID: UInt32]] = [:]

    /// Begins with no partition.
    ///
    /// - Parameters:
    ///   - length: how many events a timeline keeps.
    ///   - partitionCount: of `user-events`.
    public init(length: Int, partitionCount: Int32) {
        store = TimelineStore(length: length)
        self.partitionCount = partitionCount
    }

    /// What is held now.
    public var size: Size {
        Size(partitions: store.heldPartitions.count, users: store.userCount, items: store.itemCount)
    }

    /// Whether a partition is held.
    public func holds(_ partition: Int32) -> Bool { store.holds(partition) }

    /// The greatest offset of a partition's events that the restored timelines cover; -1 when there is none.
    public func lastRestoredOffset(of partition: Int32) -> Int64 { store.lastRestoredOffset(of: partition) }

    /// Begins to hold a partition, with no users at first.
    public func open(_ partition: Int32) {
        store.open(partition)
        rejected[partition] = nil
        refused[partition] = nil
    }

    /// Forgets partitions.
    public func drop(_ partitions: some Sequence<Int32> & Sendable) {
        for partition in partitions {
            store.drop(partition)
            rejected[partition] = nil
            refused[partition] = nil
        }
    }

    /// Takes rejections of a partition's records, which are not to be made again should the records come again.
    public func restore(_ rejections: [Rejection], of partition: TopicPartition) {
        let offsets = rejections.filter { $0.source == partition }.map(\.offset)
        rejected[partition.partition, default: []].formUnion(offsets)
    }

    /// Takes stored timelines in order: the newest of a user stays, a deletion forgets it.
    ///
    /// Whoever may write to the topic may have written them, so they are held against the log. One that cannot be right is
    /// passed over, so that it neither stops the worker for ever nor, with an offset that no event reaches, keeps out all of
    /// its user's events; an older one of the user stays, if there is one. One that is not in its user's partition is
    /// passed over too: a version that did not send records on has left it.
    ///
    /// - Parameters:
    ///   - records: the records.
    ///   - end: of the partition's events, asked for after the end of the timelines: no timeline knows an event past it.
    /// - Returns: what became of them.
    public func restore(_ records: [Record], upTo end: Int64) -> Restored {
        var restored = Restored()
        for record in records {
            do throws(MessageError) {
                restored.count(isForeign: try !restore(record, upTo: end))
            } catch {
                restored.count(
                    MessageError(
                        field: error.field,
                        reason: "\(record.source) offset \(record.offset) is no timeline: \(error.reason)"
                    )
                )
            }
        }
        return restored
    }

    /// Says that all stored timelines of a partition were taken.
    ///
    /// A user of whom nothing could be used begins anew, with a generation whose rows take the place of earlier ones.
    public func finishRestore(of partition: Int32) {
        for (user, generation) in refused.removeValue(forKey: partition) ?? [:] {
            store.begin(user, in: partition, generation: generation)
        }
    }

    /// False for a record that is not in its user's partition.
    private func restore(_ record: Record, upTo end: Int64) throws(MessageError) -> Bool {
        guard let key = record.key, let user = String(validating: key, as: UTF8.self).map({ UserID($0) }) else {
            throw MessageError(field: "key", reason: "is not a user's id in UTF-8")
        }
        let partition = record.source.partition
        guard Partitioner.partition(of: key, count: partitionCount) == partition else { return false }
        guard let value = record.value else {
            store.remove(user, in: partition)
            refused[partition]?[user] = nil
            return true
        }
        do throws(MessageError) {
            try columns.read(value.span)
            try check(user, upTo: end)
            try store.restore(columns, from: value.span, in: partition)
        } catch {
            refuse(user, in: partition)
            throw error
        }
        return true
    }

    /// Holds what was just read against its key and the log.
    private func check(_ user: UserID, upTo end: Int64) throws(MessageError) {
        guard columns.user == user else {
            throw MessageError(field: "user", reason: "is \"\(columns.user)\" but the record's key is \"\(user)\"")
        }
        guard !columns.eventItems.isEmpty else {
            throw MessageError(field: "event_items", reason: "is empty, and a timeline is stored with its first event")
        }
        guard columns.lastOffset >= 0 else {
            throw MessageError(
                field: "last_offset",
                reason: "is missing, and a timeline is stored with the offset of its last event"
            )
        }
        for source in columns.sources where source.partition >= partitionCount {
            throw MessageError(
                field: "source_partitions",
                reason: "has \(source.partition), and \(Topic.userEvents.rawValue) has \(partitionCount) partitions"
            )
        }
        guard columns.lastOffset < end else {
            throw MessageError(
                field: "last_offset",
                reason:
                    "\(columns.lastOffset) is past the end of the user's partition of \(Topic.userEvents.rawValue), "
                    + "which is \(end): if that topic was made anew, delete the records of "
                    + "\(Topic.userTimelines.rawValue) too"
            )
        }
        guard columns.eventCount <= UInt64(clamping: end) + UInt64(Self.countSlack) else {
            throw MessageError(
                field: "event_count",
                reason: "\(columns.eventCount) is more than the log has had events, which is at most \(end)"
            )
        }
    }

    private func refuse(_ user: UserID, in partition: Int32) {
        let known = refused[partition]?[user] ?? 1
        let isSane = columns.generation <= Limits.generation
        let next = isSane ? min(columns.generation, Limits.generation - 1) + 1 : 1
        refused[partition, default: [:]][user] = max(known, next)
    }

    /// Applies a batch of `user-events`.
    ///
    /// - Parameters:
    ///   - records: the records.
    ///   - ends: as `EventRouting` has them.
    ///   - limit: how much they may bring with them, as `TimelineUpdate` has it.
    /// - Returns: what they changed, and how many of them were applied.
    public func apply(
        _ records: [Record],
        ends: [Int32: Int64] = [:],
        limit: TimelineUpdate.OutputLimit = TimelineUpdate.OutputLimit()
    ) -> TimelineUpdate {
        let routing = EventRouting(partitionCount: partitionCount, ends: ends)
        return TimelineUpdate(applying: records, to: &store, routing: routing, limit: limit) {
            rejected[$0.source.partition]?.contains($0.offset) == true
        }
    }
}
