public import Bytes
public import Messages
public import MessageLogs

/// What a batch of events changed: users to encode again, users to delete, records to reroute, and records that are not
/// events.
public struct TimelineUpdate: Sendable {
    /// A timeline as it is after the batch.
    public struct Changed: Sendable {
        /// The timeline.
        public let timeline: Timeline
        /// Its partition of `user-events`.
        public let partition: Int32
        /// When its last event was appended to the log, in milliseconds since 1970.
        public let appendedAt: Int64
    }

    /// A record to be rerouted.
    public struct Reroute: Sendable {
        /// Why; a small set, so that it can be a metric's label.
        public enum Reason: String, Sendable, CaseIterable {
            /// It has a key, and lies in a partition other than the key's.
            case partition
            /// It has no key, and lies in a partition other than that of its value's user.
            case keyless
        }

        /// The record, as it is to be sent.
        public let record: OutgoingRecord
        /// Why.
        public let reason: Reason

        /// Joins both.
        public init(record: OutgoingRecord, reason: Reason) {
            self.record = record
            self.reason = reason
        }
    }

    /// How much one commit may produce: even a small event adds its user's whole timeline and embedding.
    public struct OutputLimit: Sendable {
        /// Bytes of everything together; the record that reaches it is the last.
        public var byteCount: Int
        /// Bytes of an embedding.
        public var embeddingByteCount: Int

        /// Makes a limit.
        public init(byteCount: Int = .max, embeddingByteCount: Int = 0) {
            self.byteCount = byteCount
            self.embeddingByteCount = embeddingByteCount
        }
    }

    private struct Touched {
        let user: UserID
        let partition: Int32
        var appendedAt: Int64
    }

    /// How many records were applied: all of them, unless their outputs are too large for one commit.
    public private(set) var recordCount = 0
    /// The timelines that a batch touched, in order of their first event; each to be encoded once.
    public private(set) var changed: [Changed] = []
    /// Users for whom a deletion arrived, and their partitions; they may have had events since.
    public private(set) var deleted: [(user: UserID, partition: Int32)] = []
    /// The marks of partitions in which deletions left some.
    public private(set) var forgotten: [(partition: Int32, marks: ForgottenMarks)] = []
    /// Records that are not events.
    public private(set) var rejections: [RejectedRecord] = []
    /// Records that were processed before, according to their offset.
    public private(set) var knownCount = 0
    /// Events whose `event_id` was already in their user's timeline.
    public private(set) var repeatedCount = 0
    /// Records that lay outside their user's partition, in order.
    public private(set) var reroutes: [Reroute] = []
    private var deletedUsers: Set<UserID> = []
    /// Partitions from which a record was taken.
    private var begun: Set<Int32> = []
    private var isFullOfMarks = false
    private var touched: [Touched] = []
    private var positions: [UserID: Int] = [:]

    /// Applies records to the timelines, in order.
    ///
    /// - Parameters:
    ///   - records: records of `user-events`.
    ///   - store: the timelines.
    ///   - routing: which partition each user belongs to.
    ///   - limit: how much they may produce; at least one is applied.
    ///   - isRejected: whether a record was rejected before.
    public init(
        applying records: [Record],
        to store: inout TimelineStore,
        routing: EventRouting,
        limit: OutputLimit = OutputLimit(),
        unless isRejected: (Record) -> Bool = { _ in false }
    ) {
        var room = limit.byteCount
        for record in records {
            guard recordCount == 0 || room > 0 && !isFullOfMarks else { break }
            recordCount += 1
            if begun.insert(record.source.partition).inserted {
                store.beginBatch(of: record.source.partition, at: record.offset)
            }
            let touchedBefore = touched.count
            // As part of a timeline, of a rerouted record, or of a rejected one.
            room -= (record.key?.count ?? 0) + (record.value?.count ?? 0)
            defer {
                for new in touched[touchedBefore...] {
                    room -= store.storedByteCount(of: new.user, in: new.partition) + limit.embeddingByteCount
                }
            }
            do throws(MessageError) {
                try apply(record, to: &store, routing)
            } catch {
                if isRejected(record) {
                    knownCount += 1
                    continue
                }
                rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            }
        }
        forgotten = begun.sorted().compactMap { partition in
            store.newMarks(of: partition).map { (partition, $0) }
        }
        changed = touched.compactMap { touched in
            store.timeline(of: touched.user, in: touched.partition).map { timeline in
                Changed(timeline: timeline, partition: touched.partition, appendedAt: touched.appendedAt)
            }
        }
    }

    private mutating func apply(
        _ record: Record,
        to store: inout TimelineStore,
        _ routing: EventRouting
    ) throws(MessageError) {
        let read = try ReadRecord(record)
        let partition = routing.partition(of: read.key)
        guard partition == record.source.partition else {
            let reason = read.isKeyless ? Reroute.Reason.keyless : .partition
            return reroutes.append(Reroute(record: try read.sentOn(record, to: partition), reason: reason))
        }
        if let first = read.first { try routing.check(first) }
        let source = read.first.map { Timeline.Source(partition: $0.partition, offset: $0.offset) }
        if let event = read.event {
            switch store.apply(
                TimelineEvent(event),
                of: read.user,
                in: partition,
                offset: record.offset,
                source: source
            ) {
            case .applied: break
            case .known: knownCount += 1
            case .repeated: repeatedCount += 1
            }
        } else if store.remove(read.user, in: partition, at: record.offset, source: source) {
            if deletedUsers.insert(read.user).inserted { deleted.append((read.user, partition)) }
            // One more deletion leaves at most as many marks as a timeline has sources, and all must fit into one
            // record.
            isFullOfMarks = store.newMarkCount(of: partition) >= Limits.sourceCount || isFullOfMarks
        } else {
            knownCount += 1
        }
        touch(read.user, partition, at: read.first?.timestamp ?? record.timestamp)
    }

    private mutating func touch(_ user: UserID, _ partition: Int32, at time: Int64) {
        if let position = positions[user] {
            touched[position].appendedAt = time
        } else {
            positions[user] = touched.count
            touched.append(Touched(user: user, partition: partition, appendedAt: time))
        }
    }
}
