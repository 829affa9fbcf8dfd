import Failpoints

extension Failpoint {
    /// The worker has applied a batch to its timelines.
    static var encoderAfterTimelines: Failpoint { Failpoint("encoder.after-timelines") }
    /// The worker has encoded the batch's users; nothing has been sent.
    static var encoderAfterEmbeddings: Failpoint { Failpoint("encoder.after-embeddings") }
    /// The worker's batch is committed; nothing has been counted.
    static var encoderAfterCommit: Failpoint { Failpoint("encoder.after-commit") }
}
