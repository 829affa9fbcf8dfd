import Failpoints

extension Failpoint {
    /// The writer is about to send rows and offsets.
    static var writerBeforeCommit: Failpoint { Failpoint("writer.before-commit") }
    /// Rows and offsets are committed; the log does not know it.
    static var writerAfterCommit: Failpoint { Failpoint("writer.after-commit") }
}
