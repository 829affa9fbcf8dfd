import Identifiers
import Messages
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

    private var store: TimelineStore
    private var columns = TimelineColumns()
    /// Offsets of records that were rejected and are in the log of rejected records, by partition.
    private var rejected: [Int32: Set<Int64>] = [:]

    /// Begins with no partition.
    ///
    /// - Parameter length: how many events a timeline keeps.
    public init(length: Int) {
        store = TimelineStore(length: length)
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
    }

    /// Forgets partitions.
    public func drop(_ partitions: some Sequence<Int32> & Sendable) {
        for partition in partitions {
            store.drop(partition)
            rejected[partition] = nil
        }
    }

    /// Takes rejections of a partition's records, which are not to be made again should the records come again.
    public func restore(_ rejections: [Rejection], of partition: TopicPartition) {
        let offsets = rejections.filter { $0.source == partition }.map(\.offset)
        rejected[partition.partition, default: []].formUnion(offsets)
    }

    /// Takes stored timelines in order: the newest of a user stays, a deletion forgets it.
    ///
    /// - Throws: `MessageError` for a record that cannot be read: the worker's own state is damaged, so it must not go on.
    public func restore(_ records: [Record]) throws {
        for record in records {
            do throws(MessageError) {
                try restore(record)
            } catch {
                throw MessageError(
                    field: error.field,
                    reason: "\(record.source) offset \(record.offset) is no timeline: \(error.reason)"
                )
            }
        }
    }

    private func restore(_ record: Record) throws(MessageError) {
        guard let key = record.key else { throw MessageError(field: "key", reason: "there is none") }
        let partition = record.source.partition
        guard let value = record.value else {
            return store.remove(UserID(String(decoding: key, as: UTF8.self)), in: partition)
        }
        try columns.read(value.span)
        guard columns.user.utf8.elementsEqual(key) else {
            throw MessageError(
                field: "user",
                reason: "is \"\(columns.user)\" but the record's key is \"\(String(decoding: key, as: UTF8.self))\""
            )
        }
        try store.restore(columns, from: value.span, in: partition)
    }

    /// Applies a batch of `user-events`.
    public func apply(_ records: [Record]) -> TimelineUpdate {
        TimelineUpdate(applying: records, to: &store) { rejected[$0.source.partition]?.contains($0.offset) == true }
    }
}
