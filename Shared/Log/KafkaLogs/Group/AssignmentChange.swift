internal import MessageLogs

/// How partitions move in a group, in librdkafka's words.
enum RebalanceProtocol: Equatable, CaseIterable {
    /// Not a member yet, or not any more.
    case none
    /// All partitions are given up at each rebalance.
    case eager
    /// Only those that move are given up.
    case cooperative
}

/// A change of librdkafka's assignment, and with it the answer to a rebalance.
enum AssignmentChange: Equatable {
    /// Fetches partitions from offsets, which answers an assignment also when there are none.
    ///
    /// - Parameters:
    ///   - again: those of them that are fetched already, from another offset.
    ///   - all: everything that is fetched afterwards.
    case add([TopicPartition: Int64], again: Set<TopicPartition>, all: [TopicPartition: Int64])
    /// Stops fetching partitions, which answers a revocation also when there are none.
    case remove(Set<TopicPartition>)

    /// The calls of librdkafka that make the change, in order.
    ///
    /// Which they are depends on the group's protocol at the time of the answer; a call of the other kind is an error.
    func calls(under rebalanceProtocol: RebalanceProtocol) -> [AssignmentCall] {
        switch (self, rebalanceProtocol) {
        case (.add(let added, let again, _), .cooperative):
            // A partition is moved to another offset by being taken out in between: a seek of 2.0.2 times out at once
            // (librdkafka#4230).
            again.isEmpty ? [.incrementalAssign(added)] : [.incrementalUnassign(again), .incrementalAssign(added)]
        case (.remove(let removed), .cooperative):
            [.incrementalUnassign(removed)]
        case (.add(_, _, let all), .none), (.add(_, _, let all), .eager):
            // Also when it is empty: `assign(NULL)` does not answer an assignment, and a member that owes the answer
            // takes no part in the next rebalance.
            [.assign(all)]
        case (.remove, .none), (.remove, .eager):
            // A revocation of the eager protocol is one of everything. While a membership ends there is no protocol
            // (Blizzard/node-rdkafka#1144), and the same is right.
            [.unassign]
        }
    }
}

/// A call of librdkafka that changes what it fetches.
enum AssignmentCall: Equatable {
    /// `rd_kafka_assign` with a list.
    case assign([TopicPartition: Int64])
    /// `rd_kafka_assign` with NULL.
    case unassign
    /// `rd_kafka_incremental_assign`.
    case incrementalAssign([TopicPartition: Int64])
    /// `rd_kafka_incremental_unassign`.
    case incrementalUnassign(Set<TopicPartition>)
}
