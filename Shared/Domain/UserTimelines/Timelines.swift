import Bytes
public import Messages
public import MessageLogs

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

    /// The result of reading stored timelines and the marks beside them.
    public struct Restored: Sendable {
        /// How many records were taken or skipped.
        public private(set) var recordCount = 0
        /// The partition of `user-events` whose end must be known to continue with the next record; nil when all were
        /// read.
        public private(set) var unknownEnd: Int32?
        /// How many records are unusable.
        public private(set) var refusedCount = 0
        /// Why the first of them are unusable, with their positions.
        public private(set) var refusals: [MessageError] = []
        /// How many lie outside their user's partition.
        public private(set) var foreignCount = 0

        /// Starts empty.
        public init() {}

        /// Adds more.
        public mutating func add(_ more: Restored) {
            recordCount += more.recordCount
            refusedCount += more.refusedCount
            foreignCount += more.foreignCount
            refusals += more.refusals.prefix(max(0, 5 - refusals.count))
        }

        fileprivate mutating func count(_ verdict: Verdict) {
            if case .waits(let partition) = verdict {
                unknownEnd = partition
            } else {
                recordCount += 1
                if case .foreign = verdict { foreignCount += 1 }
            }
        }

        fileprivate mutating func count(_ refusal: MessageError) {
            recordCount += 1
            refusedCount += 1
            if refusals.count < 5 { refusals.append(refusal) }
        }
    }

    /// How a stored record is judged.
    fileprivate enum Verdict {
        /// Taken, or older than what is held.
        case taken
        /// Not in its user's partition.
        case foreign
        /// Cannot be judged before the end of a partition is known.
        case waits(for: Int32)
    }

    /// How many records that are already in the state may be repeated when the log reports an offset that is too small.
    ///
    /// It is more than the largest batch, because some outputs of an interrupted commit may be missing, and are then
    /// produced again.
    ///
    /// A partition is read from at most this far before the state, if enough timelines agree on the state's offset.
    public static let repeatedCount: Int64 = 20_000
    /// An event count that exceeds the log's offsets by no more than this may stem from a topic that was recreated.
    public static let countSlack: Int64 = 1_000_000

    private let partitionCount: Int32
    private var store: TimelineStore
    private var columns = TimelineColumns()
    /// Offsets of records that were rejected and are in the log of rejected records, by partition.
    private var rejected: [Int32: Set<Int64>] = [:]
    /// Users whose stored timeline was rejected, and a generation past it.
    private var refused: [Int32: [UserID: UInt32]] = [:]

    /// Starts without partitions.
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

    /// The offset of a partition's events that the restored timelines of enough users reach; nil when there are too
    /// few.
    public func agreedOffset(of partition: Int32) -> Int64? { store.agreedOffset(of: partition) }

    /// Starts to hold a partition, with no users at first.
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

    /// Takes rejections of a partition's records, so that they are not repeated if the records are.
    public func restore(_ rejections: [Rejection], of partition: TopicPartition) {
        let offsets = rejections.filter { $0.source == partition }.map(\.offset)
        rejected[partition.partition, default: []].formUnion(offsets)
    }

    /// Takes stored timelines and marks in order: the newest of each user is kept, and a deletion removes it.
    ///
    /// Anyone who may write to the topic may have written them, so they are checked against the log. One that cannot be
    /// right is skipped: it must neither stop the worker forever nor, with an offset that no event has reached,
    /// suppress all of its user's events. An older one of the user is kept, if there is one. One outside its user's
    /// partition is skipped too: it stems from a version that did not reroute records.
    ///
    /// - Parameters:
    ///   - records: the records.
    ///   - ends: ends of partitions of `user-events`, each queried after the end of the timelines, so that no timeline
    ///     includes a record past it.
    /// - Returns: the result. If `unknownEnd` names a partition, add its end and continue with the records after
    ///   `recordCount`; so only the ends that are needed are queried.
    public func restore(_ records: ArraySlice<Record>, ends: [Int32: Int64]) -> Restored {
        var restored = Restored()
        for record in records {
            do throws(MessageError) {
                restored.count(try restore(record, ends))
                if restored.unknownEnd != nil { break }
            } catch {
                restored.count(
                    MessageError(
                        field: error.field,
                        reason: "\(record.source) offset \(record.offset) cannot be used: \(error.reason)"
                    )
                )
            }
        }
        return restored
    }

    /// Declares that all stored timelines of a partition were read.
    ///
    /// A user without a usable one starts over, with a generation whose rows replace earlier ones.
    public func finishRestore(of partition: Int32) {
        // Before the users that start over are added, because they have no events.
        store.finishRestore(of: partition)
        for (user, generation) in refused.removeValue(forKey: partition) ?? [:] {
            store.begin(user, in: partition, generation: generation)
        }
    }

    private func restore(_ record: Record, _ ends: [Int32: Int64]) throws(MessageError) -> Verdict {
        let partition = record.source.partition
        if record.key == ForgottenMarks.key { return try restoreMarks(record.value, in: partition, ends) }
        guard let key = record.key, let user = String(validating: key, as: UTF8.self).map({ UserID($0) }) else {
            throw MessageError(field: "key", reason: "is not a user's id in UTF-8")
        }
        guard Partitioner.partition(of: key, count: partitionCount) == partition else { return .foreign }
        guard let value = record.value else {
            store.remove(user, in: partition)
            refused[partition]?[user] = nil
            return .taken
        }
        do throws(MessageError) {
            try columns.read(value.span)
            if let unknown = try check(user, in: partition, ends) { return .waits(for: unknown) }
            try store.restore(columns, from: value.span, in: partition)
        } catch {
            refuse(user, in: partition)
            throw error
        }
        return .taken
    }

    /// Later ones replace earlier ones, as in the log itself.
    private func restoreMarks(
        _ value: [UInt8]?,
        in partition: Int32,
        _ ends: [Int32: Int64]
    ) throws(MessageError) -> Verdict {
        let marks = if let value { try ForgottenMarks(decoding: value, contentType: nil) } else { ForgottenMarks() }
        if let unknown = try check(marks.settled, "settled", ends) { return .waits(for: unknown) }
        let recent = marks.recent.map { Timeline.Source(partition: $0.partition, offset: $0.offset) }
        if let unknown = try check(recent, "recent", ends) { return .waits(for: unknown) }
        let fields = [("settled_until", [marks.settledUntil]), ("recent_deletions", marks.recent.map(\.deletion))]
        for (field, deletions) in fields {
            guard let last = deletions.max(), last >= 0 else { continue }
            guard let end = ends[partition] else { return .waits(for: partition) }
            guard last < end else { throw MessageError(field: field, reason: Self.pastEnd(last, partition, end)) }
        }
        store.restore(marks, in: partition)
        return .taken
    }

    /// Checks what was just read against its key and the log.
    ///
    /// - Returns: the partition whose end must be known for that.
    private func check(
        _ user: UserID,
        in partition: Int32,
        _ ends: [Int32: Int64]
    ) throws(MessageError) -> Int32? {
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
        guard let end = ends[partition] else { return partition }
        guard columns.lastOffset < end else {
            throw MessageError(field: "last_offset", reason: Self.pastEnd(columns.lastOffset, partition, end))
        }
        guard columns.eventCount <= UInt64(clamping: end) + UInt64(Self.countSlack) else {
            throw MessageError(
                field: "event_count",
                reason: "\(columns.eventCount) is more than the log has had events, which is at most \(end)"
            )
        }
        return try check(columns.sources, "source", ends)
    }

    /// Checks positions in other partitions against the log; `name` is the prefix of their fields' names.
    ///
    /// - Returns: the partition whose end must be known for that.
    private func check(
        _ sources: [Timeline.Source],
        _ name: String,
        _ ends: [Int32: Int64]
    ) throws(MessageError) -> Int32? {
        for source in sources {
            guard source.partition < partitionCount else {
                throw MessageError(
                    field: "\(name)_partitions",
                    reason: "has \(source.partition), and \(Topic.userEvents.rawValue) has \(partitionCount) partitions"
                )
            }
            guard let end = ends[source.partition] else { return source.partition }
            guard source.offset < end else {
                throw MessageError(
                    field: "\(name)_offsets",
                    reason: Self.pastEnd(source.offset, source.partition, end)
                )
            }
        }
        return nil
    }

    private static func pastEnd(_ offset: Int64, _ partition: Int32, _ end: Int64) -> String {
        "\(offset) is past the end of \(TopicPartition(Topic.userEvents.rawValue, partition)), which is \(end): if that "
            + "topic was made anew, delete the records of \(Topic.userTimelines.rawValue) too"
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
    ///   - limit: how much they may produce, as in `TimelineUpdate`.
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
