import Messages
import Streams

/// The worker's state: the timelines of the partitions it holds.
actor Timelines {
    /// What is held, for metrics.
    struct Size: Sendable {
        let partitions: Int
        let users: Int
        let items: Int
    }

    private var store: TimelineStore

    /// Begins with no partition.
    init(length: Int) {
        store = TimelineStore(length: length)
    }

    /// What is held now.
    var size: Size {
        Size(partitions: store.heldPartitions.count, users: store.userCount, items: store.itemCount)
    }

    /// Whether a partition is held.
    func holds(_ partition: Int32) -> Bool { store.holds(partition) }

    /// Begins to hold a partition, with no users at first.
    func open(_ partition: Int32) { store.open(partition) }

    /// Forgets partitions.
    func drop(_ partitions: some Sequence<Int32> & Sendable) {
        for partition in partitions { store.drop(partition) }
    }

    /// Takes stored timelines in order: the newest of a user stays, a deletion forgets it.
    ///
    /// - Throws: `MessageError` for a record that cannot be read: the worker's own state is damaged, so it must not go on.
    func restore(_ records: [Record]) throws {
        for record in records {
            let partition = record.source.partition
            guard let key = record.key else {
                throw MessageError(field: "key", reason: "\(record.source) offset \(record.offset) has no key")
            }
            guard let value = record.value else {
                store.remove(String(decoding: key, as: UTF8.self), in: partition)
                continue
            }
            do throws(MessageError) {
                store.restore(try Timeline(decoding: value, contentType: nil), in: partition)
            } catch {
                throw MessageError(
                    field: error.field,
                    reason: "\(record.source) offset \(record.offset) is no timeline: \(error.reason)"
                )
            }
        }
    }

    /// Applies a batch of `user-events`.
    func apply(_ records: [Record]) -> TimelineUpdate {
        TimelineUpdate(applying: records, to: &store)
    }
}
