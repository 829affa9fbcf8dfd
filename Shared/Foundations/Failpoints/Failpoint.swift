/// A place in a commit path at which a test can make the process fail.
///
/// `USERLLM_FAILPOINT=kafka.after-offsets:kill@17` ends the process the 17th time it comes to that place; several are
/// separated by commas. Without the variable a failpoint costs one comparison. Counts are those of one process, so one
/// that is started again with the same variable fails again.
///
/// | action | what happens |
/// |---|---|
/// | `kill` | the process ends at once, as by `kill -9` |
/// | `stop` | the process is stopped (SIGSTOP) until somebody sends SIGCONT |
/// | `exit` | the process ends with code 70, without any cleaning up |
/// | `sleep=MS` | the thread waits for MS milliseconds |
/// | `kill-in=MS`, `stop-in=MS` | the same MS milliseconds later, so in the middle of what follows; MS may be a fraction |
public enum Failpoint: String, Sendable, CaseIterable {
    /// The ingestor is about to append events.
    case ingestorBeforeAppend = "ingestor.before-append"
    /// The log has taken the events; the reply is not sent.
    case ingestorAfterAppend = "ingestor.after-append"
    /// The encoder worker has applied a batch to its timelines.
    case encoderAfterTimelines = "encoder.after-timelines"
    /// The encoder worker has encoded the batch's users; nothing of it is sent.
    case encoderAfterEmbeddings = "encoder.after-embeddings"
    /// The encoder worker's batch is committed; nothing is counted.
    case encoderAfterCommit = "encoder.after-commit"
    /// A transaction of Kafka has begun.
    case kafkaAfterBegin = "kafka.after-begin"
    /// The records of a transaction of Kafka are with the client; not all need be sent.
    case kafkaAfterRecords = "kafka.after-records"
    /// The offsets are in the transaction, which is still open.
    case kafkaAfterOffsets = "kafka.after-offsets"
    /// The transaction is committed; the flow does not know it.
    case kafkaAfterCommit = "kafka.after-commit"
    /// A commit over PostgreSQL is about to be sent.
    case postgresBeforeCommit = "postgres.before-commit"
    /// A commit over PostgreSQL was answered; the flow does not know it.
    case postgresAfterCommit = "postgres.after-commit"
    /// The embedding writer is about to send rows and offsets.
    case writerBeforeCommit = "writer.before-commit"
    /// Rows and offsets are committed; the log does not know it.
    case writerAfterCommit = "writer.after-commit"
    /// Offsets are committed and outputs are not: only where `Protection.atomicCommit` is switched off.
    case betweenOffsetsAndOutputs = "commit.between-offsets-and-outputs"

    /// Fails here if the environment says so.
    public func reach() {
        guard let plan = FailurePlan.ofThisProcess else { return }
        plan.reached(self)
    }
}

/// What stands between a fault and a wrong result; each can be switched off to see that its test would notice.
///
/// `USERLLM_WITHOUT_PROTECTION=row-guard,writer-fence` switches off two. Never outside a test.
public enum Protection: String, Sendable, CaseIterable {
    /// A row is replaced by one with a greater event count only.
    case rowGuard = "row-guard"
    /// A writer that is not the owner of its partitions any more, or whose offset is not the stored one, writes nothing.
    case writerFence = "writer-fence"
    /// An event whose offset a timeline has already is not applied again.
    case replayGuard = "replay-guard"
    /// A record that was sent on from another partition is not applied again should it be sent on twice.
    case sourceGuard = "source-guard"
    /// An event whose id its user's timeline holds does not count again.
    case eventIDs = "event-ids"
    /// Offsets and outputs become visible together; without it offsets come first.
    case atomicCommit = "atomic-commit"
    /// State is restored up to the true end of its topic, also behind an open transaction.
    case restoreBarrier = "restore-barrier"
    /// Over PostgreSQL a member commits only what it owns under the epoch in which it read.
    case membershipCheck = "membership-check"

    /// Whether it was switched off for this process.
    public var isOff: Bool { FailurePlan.protectionsOff.contains(self) }
}
