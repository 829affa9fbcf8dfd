import Failpoints

extension Failpoint {
    /// The writer is about to send rows and offsets.
    static var writerBeforeCommit: Failpoint { Failpoint("writer.before-commit") }
    /// Rows and offsets are committed in the database; the log has not been told yet.
    static var writerAfterCommit: Failpoint { Failpoint("writer.after-commit") }
}
