internal import MessageLogs

/// Commits of a reader that keeps its offsets itself: advisory, for tools that show lag.
///
/// They go through a transaction once a second and when there is nothing to read. A member's own commit would be simpler,
/// but one that meets a rebalance costs the member all its partitions: librdkafka 2.0.2 takes the broker's refusal for
/// the end of the membership (confluentinc/librdkafka#4059), and everything stands still until the group has met again.
struct AdvisoryCommits {
    private static let interval: Duration = .seconds(1)
    private static let backOff: Duration = .seconds(5)
    private static let limit: Duration = .seconds(2)

    /// How far the reader is, where the group was not told yet.
    private var offsets: [TopicPartition: Int64] = [:]
    private var lastCommit = ContinuousClock.now
    /// Before this nothing is committed: a producer was lost.
    private var earliestCommit = ContinuousClock.now

    /// Notes how far the reader is.
    mutating func note(_ offsets: [TopicPartition: Int64]) {
        self.offsets.merge(offsets) { max($0, $1) }
    }

    /// Whether it is time to tell the group.
    func isDue(isIdle: Bool) -> Bool {
        !offsets.isEmpty && (isIdle || ContinuousClock.now - lastCommit >= Self.interval)
    }

    /// Whether the group has something to be told of some partitions.
    func concerns(_ partitions: some Sequence<TopicPartition>) -> Bool {
        !offsets.isEmpty && partitions.contains { offsets[$0] != nil }
    }

    /// Forgets partitions that others may have.
    mutating func forget(_ partitions: some Sequence<TopicPartition>) {
        for partition in partitions { offsets[partition] = nil }
    }

    /// Commits what is noted.
    ///
    /// A refusal is of no consequence: the next commit, or the next owner's, says more.
    mutating func commit(by producer: MemberProducer, as member: GroupMember) {
        guard ContinuousClock.now >= earliestCommit else { return }
        lastCommit = .now
        do throws(TransactionFailure) {
            try producer.opened().run(
                [],
                offsets: PartitionList(offsets),
                member: member.metadata,
                within: Self.limit
            )
            offsets = [:]
        } catch {
            switch error {
            case .aborted: break
            case .invalid: offsets = [:]
            case .unknown:
                producer.close()
                earliestCommit = .now + Self.backOff
            }
        }
    }
}
