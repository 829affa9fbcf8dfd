internal import MessageLogs

/// How a commit ended, as far as Kafka has said.
///
/// Silence is no answer: a question that timed out leaves the outcome `unknown`, and is asked again.
enum CommitOutcome: Equatable {
    /// Its offsets are the group's, and its outputs are visible.
    case committed
    /// Nothing of it is there, and nothing will be.
    case aborted
    /// Kafka did not say, and why; nothing may be built on the commit before it has.
    case unknown(StreamError)
}

/// What a group has committed of a partition.
struct CommittedOffset: Sendable, Equatable {
    /// The offset to go on from.
    var offset: Int64
    /// The text that was committed beside it.
    var metadata: String
}

/// A broker's answer to the question for a group's offsets.
enum GroupOffsets: Equatable {
    /// No transaction is open that could change them. A coordinator that is still loading may tell old ones.
    case stable([TopicPartition: CommittedOffset])
    /// A transaction is open that could change them, and has been for longer than one takes; this is what they were before.
    case pending(before: [TopicPartition: CommittedOffset])
}

/// A commit, as far as it is needed to find out how it ended.
struct PendingCommit: Sendable {
    /// What the offsets of the group say about a commit.
    enum Verdict: Equatable {
        /// It happened.
        case committed
        /// Offsets were told that are not the commit's. They may be old, so the group is written to and asked again.
        case asksAgain
        /// The group is still before the commit, with offsets that stay open. Whether its outputs are visible decides.
        case asksOutputs
        /// Somebody else went on, with offsets that stay open.
        case superseded
    }

    /// The offsets it commits.
    let offsets: [TopicPartition: Int64]
    /// What is written beside them, and beside no others.
    var metadata: String
    /// One of its outputs, to look for; nil when none has a partition that is known.
    let probe: OutgoingRecord?
    /// When it began, in milliseconds since 1970.
    let startedAt: Int64
    /// The broker said that it happened, so what came after it may be built on it.
    var isAcknowledged = false

    /// Describes a commit that begins at a time.
    init(
        offsets: [TopicPartition: Int64],
        metadata: String,
        outputs: [OutgoingRecord],
        startedAt: Int64
    ) {
        self.offsets = offsets
        self.metadata = metadata
        self.startedAt = startedAt
        probe = outputs.last { $0.value != nil && ($0.partition != nil || $0.key != nil) }
    }

    /// What a group's offsets say about it.
    func verdict(by found: GroupOffsets) -> Verdict {
        switch found {
        case .stable(let offsets): isAmong(offsets) ? .committed : .asksAgain
        // Its offsets are there already; what is open is another's, or only its outputs.
        case .pending(let before) where isAmong(before): .committed
        case .pending(let before): isAhead(of: before) ? .asksOutputs : .superseded
        }
    }

    /// How it ended by offsets that are certain: stable, and read after a write to the group.
    func outcome(byCurrent offsets: [TopicPartition: CommittedOffset]) -> CommitOutcome {
        isAmong(offsets) ? .committed : .aborted
    }

    /// Whether these are its offsets, with its metadata, or those of somebody who went on from there.
    private func isAmong(_ committed: [TopicPartition: CommittedOffset]) -> Bool {
        offsets.allSatisfy { partition, offset in
            guard let found = committed[partition] else { return false }
            return found.offset == offset && found.metadata == metadata || isAcknowledged && found.offset > offset
        }
    }

    /// Whether the group is still before it.
    ///
    /// A commit may say an offset again, and then only its metadata tells it from the one before.
    private func isAhead(of committed: [TopicPartition: CommittedOffset]) -> Bool {
        offsets.allSatisfy { partition, offset in
            guard let found = committed[partition] else { return true }
            return found.offset < offset || found.offset == offset && found.metadata != metadata
        }
    }
}
