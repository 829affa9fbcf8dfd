import Identifiers
import Messages
import Streams

/// `user-events`, folded record by record as SYSTEM.md says: what everything else must agree with.
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

    /// Begins with no record, for timelines of this length.
    init(length: Int) {
        rows = OfflineRows(length: length)
    }

    /// Takes the next record of its partition.
    mutating func take(_ record: Record) {
        recordCount += 1
        ends[record.source.partition] = record.offset + 1
        let key = UserID(record.key.flatMap { String(validating: $0, as: UTF8.self) } ?? "")
        guard !key.text.isEmpty, let value = record.value else {
            if key.text.isEmpty { return reject(record, key) }
            deletionCounts[key, default: 0] += 1
            lastOffsets[key] = nil
            return rows.remove(user: key)
        }
        let contentType = record.header(ContentType.header)
        guard let event = try? Event(decoding: value, contentType: contentType, receivedAt: record.timestamp),
            event.user == key
        else { return reject(record, key) }
        let before = rows.count(of: key)
        rows.add(event)
        if rows.count(of: key) > before { appliedCount += 1 } else { duplicateCount += 1 }
        lastOffsets[key] = record.offset
        if let id = event.id { ids[id] = key }
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
