import Bytes
import Messages
import MessageLogs

/// `user-events`, folded record by record: what everything else must agree with.
struct FaultsOracle: Sendable {
    /// Where a record lies in its topic.
    struct Place: Sendable, Hashable, CustomStringConvertible {
        let partition: Int32
        let offset: Int64

        var description: String { "\(partition)/\(offset)" }
    }

    /// What the rows must be.
    private(set) var rows: OfflineRows
    /// How many records there are.
    private(set) var recordCount = 0
    /// How many of them changed a user's count.
    private(set) var appliedCount = 0
    /// How many were events that their users had already.
    private(set) var duplicateCount = 0
    /// How many forget a user.
    private(set) var deletionCounts: [UserID: Int] = [:]
    /// Those that are no events.
    private(set) var rejected: [Place: String] = [:]
    /// The ids of the events, with the users.
    private(set) var ids: [String: UserID] = [:]
    /// For each user with a history the offset of the last event.
    private(set) var lastOffsets: [UserID: Int64] = [:]
    /// For each partition one past the last record.
    private(set) var ends: [Int32: Int64] = [:]
    /// Records in partitions that are not their users': they count where they were sent on to.
    private(set) var misplaced: Set<Place> = []
    /// The places that records say they were sent on from.
    private(set) var sentOn: Set<Place> = []
    /// How many were sent on again, which must change nothing.
    private(set) var resentCount = 0
    private let partitionCount: Int32

    /// Begins with no record, for timelines of this length.
    init(length: Int, partitionCount: Int32) {
        rows = OfflineRows(length: length)
        self.partitionCount = partitionCount
    }

    /// What was not sent on, or from nowhere.
    var reroutingProblems: [String] {
        misplaced.subtracting(sentOn).map { "record \($0) is not in its user's partition and was not sent on" }
            + sentOn.subtracting(misplaced).map { "a record says that it was sent on from \($0), where none was to be" }
    }

    /// Takes the next record of its partition.
    mutating func take(_ record: Record) {
        recordCount += 1
        ends[record.source.partition] = record.offset + 1
        let key = UserID(record.key.flatMap { String(validating: $0, as: UTF8.self) } ?? "")
        guard let content = Self.content(record, key) else { return reject(record, key) }
        let user = content.user
        guard Partitioner.partition(of: Array(user.utf8), count: partitionCount) == record.source.partition else {
            misplaced.insert(Place(partition: record.source.partition, offset: record.offset))
            return
        }
        if let first = content.first, !sentOn.insert(Place(partition: first.partition, offset: first.offset)).inserted {
            resentCount += 1
            return
        }
        guard let event = content.event else {
            deletionCounts[user, default: 0] += 1
            lastOffsets[user] = nil
            return rows.remove(user: user)
        }
        let before = rows.count(of: user)
        rows.add(event)
        if rows.count(of: user) > before { appliedCount += 1 } else { duplicateCount += 1 }
        lastOffsets[user] = record.offset
        if let id = event.id { ids[id] = user }
    }

    private struct Content {
        var user: UserID
        /// Nil forgets the user.
        var event: Event?
        var first: FirstPlace?
    }

    /// Nil for what is neither an event nor a deletion.
    private static func content(_ record: Record, _ key: UserID) -> Content? {
        guard let first = try? FirstPlace(headersOf: record) as FirstPlace?? else { return nil }
        guard let value = record.value else {
            return key.text.isEmpty ? nil : Content(user: key, event: nil, first: first)
        }
        let contentType = record.header(ContentType.header)
        let time = first?.timestamp ?? record.timestamp
        guard let event = try? Event(decoding: value, contentType: contentType, receivedAt: time),
            key.text.isEmpty || event.user == key
        else { return nil }
        return Content(user: event.user, event: event, first: first)
    }

    private mutating func reject(_ record: Record, _ key: UserID) {
        rejected[Place(partition: record.source.partition, offset: record.offset)] = key.text
    }
}

/// Folds all records of a topic, one partition after the other.
func folding<Value: Sendable>(
    _ topic: String,
    of log: any MessageLog,
    into initial: Value,
    _ body: @escaping @Sendable (inout Value, Record) throws -> Void
) async throws -> Value {
    let fold = Fold(initial, body)
    for partition in 0..<(try await log.partitionCount(of: topic) ?? 0) {
        try await log.replay(TopicPartition(topic, partition)) { records in try await fold.take(records) }
    }
    return await fold.value
}

private actor Fold<Value: Sendable> {
    private(set) var value: Value
    private let body: @Sendable (inout Value, Record) throws -> Void

    init(_ value: Value, _ body: @escaping @Sendable (inout Value, Record) throws -> Void) {
        self.value = value
        self.body = body
    }

    func take(_ records: [Record]) throws {
        for record in records { try body(&value, record) }
    }
}
