public import Identifiers
public import Messages
public import StreamProcessing
public import Streams

/// What a batch of events changed: the users that must be encoded again, those that are to be forgotten, and the records
/// that were no events.
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

    private struct Touched {
        let user: UserID
        let partition: Int32
        var appendedAt: Int64
    }

    /// The timelines that a batch touched, in order of their first event; each to be encoded once.
    public private(set) var changed: [Changed] = []
    /// Users that a deletion came for, and their partitions; they may have had events since.
    public private(set) var deleted: [(user: UserID, partition: Int32)] = []
    /// Records that are no events.
    public private(set) var rejections: [RejectedRecord] = []
    /// Records that were dealt with before, by their offset.
    public private(set) var knownCount = 0
    /// Events whose `event_id` their user's timeline held already.
    public private(set) var repeatedCount = 0
    private var touched: [Touched] = []
    private var positions: [UserID: Int] = [:]

    /// Applies records to the timelines, in order.
    ///
    /// - Parameters:
    ///   - records: records of `user-events`.
    ///   - store: the timelines.
    ///   - isRejected: whether a record was rejected before.
    public init(
        applying records: [Record],
        to store: inout TimelineStore,
        unless isRejected: (Record) -> Bool = { _ in false }
    ) {
        for record in records {
            do throws(MessageError) {
                try apply(record, to: &store)
            } catch {
                if isRejected(record) {
                    knownCount += 1
                    continue
                }
                rejections.append(RejectedRecord(record, kind: .decode, reason: error.description))
            }
        }
        changed = touched.compactMap { touched in
            store.timeline(of: touched.user, in: touched.partition).map { timeline in
                Changed(timeline: timeline, partition: touched.partition, appendedAt: touched.appendedAt)
            }
        }
    }

    private mutating func apply(_ record: Record, to store: inout TimelineStore) throws(MessageError) {
        let partition = record.source.partition
        guard let key = record.key, !key.isEmpty else {
            throw MessageError(field: "key", reason: "is empty; the key of an event is its user's id")
        }
        guard let user = String(validating: key, as: UTF8.self).map({ UserID($0) }) else {
            throw MessageError(field: "key", reason: "is not UTF-8; the key of an event is its user's id")
        }
        guard let value = record.value else {
            if store.remove(user, in: partition, at: record.offset) {
                if !deleted.contains(where: { $0.user == user }) { deleted.append((user, partition)) }
            } else {
                knownCount += 1
            }
            return touch(user, partition, at: record.timestamp)
        }
        let event = try Event(
            decoding: value,
            contentType: record.header(ContentType.header),
            receivedAt: record.timestamp
        )
        guard event.user == user else {
            throw MessageError(
                field: "user",
                reason: "is \"\(event.user)\" but the record's key is \"\(user)\"; they must be the same"
            )
        }
        switch store.apply(TimelineEvent(event), of: user, in: partition, offset: record.offset) {
        case .applied: break
        case .known: knownCount += 1
        case .repeated: repeatedCount += 1
        }
        touch(user, partition, at: record.timestamp)
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
