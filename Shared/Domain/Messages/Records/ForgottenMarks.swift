/// What is left of deleted users: up to where records that were sent on to a partition belong to their past.
///
/// A record may be sent on twice, when the log tells an offset that is too small. A timeline knows its own by its
/// `sources`, and goes with its user: without these marks an event would then bring the user back, and a deletion would take
/// what came after it. They hold offsets alone, and so nothing of the user.
///
/// Topic `user-timelines`, at most one record in each partition; key: `ForgottenMarks.key`. Written and restored by the
/// encoder worker.
public struct ForgottenMarks: Sendable, Equatable {
    /// What one deletion left.
    public struct Mark: Sendable, Equatable {
        /// The partition of `user-events` from which records were sent on.
        public var partition: Int32
        /// The offset there up to which they came before the deletion.
        public var offset: Int64
        /// The deletion's offset in the marks' own partition: those that lie behind it came before.
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

    /// The marks of deletions of long ago, one for each other partition, by partition.
    public var settled: [Timeline.Source]
    /// The last deletion that left one of those, by its offset in the marks' own partition; -1 without any.
    public var settledUntil: Int64
    /// The marks of the last deletions; by partition, and of one partition by offset, which is by deletion too.
    public var recent: [Mark]

    /// Makes marks.
    public init(settled: [Timeline.Source] = [], settledUntil: Int64 = -1, recent: [Mark] = []) {
        self.settled = settled
        self.settledUntil = settledUntil
        self.recent = recent
    }
}
