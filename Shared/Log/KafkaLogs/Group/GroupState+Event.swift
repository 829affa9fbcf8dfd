internal import MessageLogs

extension GroupState {
    /// A rebalance as it came from librdkafka's queue; librdkafka waits for its answer.
    enum Rebalance: Equatable {
        /// These partitions are the member's, beside those it has.
        case assign([TopicPartition])
        /// These are not, once they are given up.
        case revoke([TopicPartition])
    }

    /// What happened.
    enum Event: Equatable {
        /// A reader without a group follows these partitions from these offsets.
        case followed([TopicPartition: Int64])
        /// A rebalance came.
        case rebalanced(Rebalance)
        /// The flow asks for the next event, so it is done with the last.
        case nextRequested
        /// Nothing is under way: what is next? `isLost` says that the member was put out of its group.
        case idle(isLost: Bool, now: ContinuousClock.Instant)
        /// The broker told where partitions start.
        case startsRead([TopicPartition: StartingOffset])
        /// The broker told the ends of partitions.
        case endsRead([TopicPartition: Int64])
        /// The flow started all paused partitions from offsets of its own.
        case started([TopicPartition: Int64])
        /// The flow resumed partitions, and knows that they are not before these offsets.
        case resumed([TopicPartition: Int64])
        /// A commit of these partitions was refused, or lost by the broker, or its outcome is unknown.
        case commitFailed(Set<TopicPartition>)
        /// The group will take partitions away, at the latest by then.
        case rebalanceExpected(until: ContinuousClock.Instant)
        /// The empty assignment that ends a cooperative revocation came, or was waited for long enough.
        case emptyAssignmentAwaited
    }

    /// What is to be done, in order; after one that fails the rest is not done.
    enum Action: Equatable {
        /// Change what librdkafka fetches.
        case change(AssignmentChange)
        /// Wait for the assignment of nothing with which librdkafka ends a cooperative revocation, then say
        /// `emptyAssignmentAwaited`.
        case awaitEmptyAssignment
        /// Ask the broker where these start, then say `startsRead`.
        case readStarts([TopicPartition])
        /// Ask the broker where these end, then say `endsRead`.
        case readEnds([TopicPartition])
        /// Tell the group with the next advisory commit that the reader is here.
        case noteAdvisory([TopicPartition: Int64])
        /// Make the last advisory commit of these partitions.
        case commitAdvisory([TopicPartition])
        /// Forget records that are not to be delivered any more.
        case discardRecords
        /// Tell the flow that these are its own.
        case tellAssigned([TopicPartition])
        /// Tell the flow that these are not.
        case tellRevoked([TopicPartition], lost: Bool)
        /// Tell the flow of an error.
        case fail(StreamError)
    }
}
