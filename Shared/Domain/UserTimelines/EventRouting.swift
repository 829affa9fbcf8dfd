import Bytes
import Messages
public import MessageLogs

/// Which partition of `user-events` a user's records belong to, and what to do with records in another one.
///
/// Producers do not agree by default: librdkafka clients partition by CRC32 unless configured otherwise, and some send
/// no key. A user's events must be in one order, so a record outside its key's partition is rerouted to the right one
/// by the worker that reads it, in the transaction that commits its offset.
///
/// It is rerouted within the topic itself, not through an intermediate topic as in Kafka Streams. So all events of a
/// user are in one order that everybody can read, there is one topic to restore from, and nobody needs the same
/// partition of two topics, which group assignors do not guarantee. The header `userllm-rerouted` tells other consumers
/// that they may have seen the record before (`FirstPlace`).
public struct EventRouting: Sendable {
    /// How many partitions there are.
    public let partitionCount: Int32
    /// For each partition that records claim to come from, an offset past all its records.
    ///
    /// The header may be forged. A record cannot have been rerouted from an offset that does not exist yet. If such a
    /// claim were accepted, all later records from that partition up to that offset would be ignored, so it is
    /// rejected.
    public let ends: [Int32: Int64]

    /// Makes a rule.
    public init(partitionCount: Int32, ends: [Int32: Int64] = [:]) {
        precondition(partitionCount > 0, "a topic has at least one partition, not \(partitionCount)")
        self.partitionCount = partitionCount
        self.ends = ends
    }

    /// The greatest offset that records claim to have been rerouted from, for each such partition, to compare with its
    /// end.
    public static func claims(of records: [Record]) -> [Int32: Int64] {
        var claims: [Int32: Int64] = [:]
        for record in records where !record.headers.isEmpty {
            guard let first = try? FirstPlace(headersOf: record) else { continue }
            claims[first.partition] = max(claims[first.partition] ?? 0, first.offset)
        }
        return claims
    }

    /// Where the records of a key belong.
    func partition(of key: [UInt8]) -> Int32 { Partitioner.partition(of: key, count: partitionCount) }

    /// Rejects a position that no record can have been rerouted from.
    func check(_ place: FirstPlace) throws(MessageError) {
        guard place.partition < partitionCount else {
            throw MessageError(
                field: FirstPlace.header,
                reason: "names partition \(place.partition), and there are \(partitionCount): leave this header out"
            )
        }
        let end = ends[place.partition] ?? 0
        guard place.offset < end else {
            throw MessageError(
                field: FirstPlace.header,
                reason:
                    "names offset \(place.offset) of partition \(place.partition), which ends at \(end): leave this "
                    + "header out"
            )
        }
    }
}

/// A record of `user-events` as its reader parses it.
struct ReadRecord {
    /// The user it belongs to.
    let user: UserID
    /// What happened; nil deletes the user.
    let event: Event?
    /// The bytes of the user's id, which determine the partition.
    let key: [UInt8]
    /// Whether the user is named only in the record's value.
    let isKeyless: Bool
    /// Where it was rerouted from.
    let first: FirstPlace?

    /// Reads a record.
    ///
    /// - Throws: `MessageError` for one that is neither an event nor a deletion.
    init(_ record: Record) throws(MessageError) {
        first = try FirstPlace(headersOf: record)
        isKeyless = record.key?.isEmpty ?? true
        if let key = record.key, !isKeyless {
            guard key.count <= Limits.identifierByteCount, !key.contains(0),
                let user = String(validating: key, as: UTF8.self).map({ UserID($0) })
            else {
                throw MessageError(
                    field: "key",
                    reason:
                        "is not UTF-8 of at most \(Limits.identifierByteCount) bytes without NUL; the key of an event "
                        + "is its user's id"
                )
            }
            (self.user, self.key) = (user, key)
            event = try Self.event(record, first)
            guard event == nil || event?.user == user else {
                throw MessageError(
                    field: "user",
                    reason: "is \"\(event?.user ?? "")\" but the record's key is \"\(user)\"; they must be the same"
                )
            }
        } else {
            guard let event = try Self.event(record, first) else {
                throw MessageError(
                    field: "key",
                    reason: "is empty, and so is the value; the key of a deletion is its user's id"
                )
            }
            (self.user, self.key, self.event) = (event.user, Array(event.user.utf8), event)
        }
    }

    private static func event(_ record: Record, _ first: FirstPlace?) throws(MessageError) -> Event? {
        guard let value = record.value else { return nil }
        return try Event(
            decoding: value,
            contentType: record.header(ContentType.header),
            // An event without a time happened when the log first appended it.
            receivedAt: first?.timestamp ?? record.timestamp
        )
    }

    /// The record for the right partition: unchanged, plus the position it came from.
    func sentOn(_ record: Record, to partition: Int32) throws(MessageError) -> OutgoingRecord {
        let place = first.map(\.moved) ?? FirstPlace(of: record)
        guard let place else {
            throw MessageError(
                field: FirstPlace.header,
                reason:
                    "says that the record was sent on \(FirstPlace.maximumMoves) times, and it lies in a partition that "
                    + "is not its key's again: do all encoder workers see the same number of partitions?"
            )
        }
        var sent = OutgoingRecord(topic: record.source.topic, partition: partition, key: key, value: record.value)
        sent.headers = FirstPlace.without(record.headers) + [place.asHeader]
        let byteCount = sent.headers.reduce(sent.value?.count ?? 0) { $0 + $1.name.utf8.count + $1.value.count }
        if byteCount > Self.maximumByteCount {
            // One more header may push it over the log's limit, which would stop the worker; the event alone does not.
            sent.headers = [place.asHeader]
            sent.value = try event?.encoded()
        }
        return sent
    }

    private static let maximumByteCount = 1_000_000
}
