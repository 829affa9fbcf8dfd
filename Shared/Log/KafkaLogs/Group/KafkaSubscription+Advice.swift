internal import CRdkafka
internal import MessageLogs

/// What a reader that keeps its offsets itself tells the log, for tools that show lag.
///
/// It goes through a transaction once a second and when there is nothing to read. A member's own commit would be simpler,
/// but one that meets a rebalance costs the member all its partitions: librdkafka 2.0.2 takes the broker's refusal for
/// the end of the membership (confluentinc/librdkafka#4059), and everything stands still until the group has met again.
extension KafkaSubscription {
    private static let adviceInterval: Duration = .seconds(1)
    private static let adviceBackOff: Duration = .seconds(5)
    private static let advicePatience: Duration = .seconds(2)

    /// Notes how far the reader is.
    func note(advice offsets: [TopicPartition: Int64]) {
        advice.merge(offsets.filter { owned.contains($0.key) }) { max($0, $1) }
    }

    /// Tells the log when it is time for it.
    func giveAdvice(isIdle: Bool = false) {
        guard !advice.isEmpty, isIdle || ContinuousClock.now - advisedAt >= Self.adviceInterval else { return }
        giveAdviceNow()
    }

    /// Tells the log of some partitions before others may have them, and forgets them.
    func giveLastAdvice(of partitions: some Sequence<TopicPartition>) {
        if !advice.isEmpty, partitions.contains(where: { advice[$0] != nil }) { giveAdviceNow() }
        for partition in partitions { advice[partition] = nil }
    }

    /// A refusal is of no consequence: the next advice, or the next owner's, says more.
    private func giveAdviceNow() {
        guard !isLost, ContinuousClock.now >= advisableFrom, let member = GroupMember(of: client) else { return }
        advisedAt = .now
        do throws(TransactionFailure) {
            try openedTransactions().run(
                [],
                offsets: PartitionList(advice),
                member: member.metadata,
                within: Self.advicePatience
            )
            advice = [:]
        } catch {
            switch error {
            case .aborted: break
            case .invalid: advice = [:]
            case .doubtful:
                transactions = nil
                advisableFrom = .now + Self.adviceBackOff
            }
        }
    }
}
