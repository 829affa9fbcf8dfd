/// What remains of deleted users: up to which offset records that were rerouted to a partition belong to their past.
///
/// A record may be rerouted twice when the log reports an offset that is too small. A timeline recognizes its own by
/// its `sources`, but is deleted with its user. Without these marks a repeated event would bring the user back, and a
/// repeated deletion would remove what came after it. Marks hold only offsets, and so nothing about the user.
///
/// Topic `user-timelines`, at most one record in each partition; key: `ForgottenMarks.key`. Written and restored by the
/// encoder worker.
public struct ForgottenMarks: Sendable, Equatable {
    /// The mark that one deletion left.
    public struct Mark: Sendable, Equatable {
        /// The partition of `user-events` from which records were rerouted.
        public var partition: Int32
        /// The offset there up to which they came before the deletion.
        public var offset: Int64
        /// The deletion's offset in the marks' own partition: rerouted records after it have been seen before.
        public var deletion: Int64

        /// Makes a mark.
        public init(partition: Int32, offset: Int64, deletion: Int64) {
            self.partition = partition
            self.offset = offset
            self.deletion = deletion
        }
    }

    /// The key of the record: a user's id has no byte 0.
    public static let key: [UInt8] = [0] + Array("forgotten".utf8)

    /// The marks of old deletions, one for each other partition, ordered by partition.
    public var settled: [Timeline.Source]
    /// The last deletion that contributed to them, by its offset in the marks' own partition; -1 without any.
    public var settledUntil: Int64
    /// The marks of the latest deletions, ordered by partition and then by offset, which is also the order of the
    /// deletions.
    public var recent: [Mark]

    /// Makes marks.
    public init(settled: [Timeline.Source] = [], settledUntil: Int64 = -1, recent: [Mark] = []) {
        self.settled = settled
        self.settledUntil = settledUntil
        self.recent = recent
    }
}
