internal import CRdkafka
internal import MessageLogs

/// How a flow that works on a batch for long stays in its group.
///
/// librdkafka leaves the group for a member that has not polled for `max.poll.interval.ms`, and a rebalance waits for the
/// member as long.
extension KafkaSubscription {
    /// What is due beside records.
    func eventBesideRecords() throws(StreamError) -> SubscriptionEvent? {
        guard !client.hasEnded, !requests.isClosing else { return nil }
        commitAdvisoryIfDue()
        try checkLastCommit()
        _ = try perform(group.handle(.nextRequested))
        if !group.hasRebalance { try pollWithoutRecords() }
        while case let actions = nextActions(), !actions.isEmpty {
            if let event = try perform(actions) { return event }
        }
        return nil
    }

    /// Polls while the partitions are paused.
    ///
    /// So no records come, and a rebalance does not stand behind those that were fetched already, which librdkafka fetches
    /// again afterwards.
    private func pollWithoutRecords() throws(StreamError) {
        let paused = try pause(group.fetched)
        // What comes all the same, as errors do, is not without end.
        for _ in 0..<options.maximumBatchCount where !group.hasRebalance {
            guard records.stashNext(&group, patience: 0) else { break }
        }
        try resume(paused)
    }

    /// Pauses what is fetched, and gives what is paused now.
    ///
    /// Only that may be resumed: librdkafka 2.0.2 goes back with a partition that is resumed and was not paused
    /// (confluentinc/librdkafka#4636).
    private func pause(_ partitions: Set<TopicPartition>) throws(StreamError) -> [TopicPartition] {
        guard !partitions.isEmpty else { return [] }
        let list = PartitionList(partitions)
        try check(rd_kafka_pause_partitions(client.handle, list.pointer), "pause partitions")
        return list.elements.filter { $0.error == .noError }.map(\.partition)
    }

    private func resume(_ paused: [TopicPartition]) throws(StreamError) {
        guard !paused.isEmpty else { return }
        let list = PartitionList(paused)
        try check(rd_kafka_resume_partitions(client.handle, list.pointer), "resume partitions")
    }

    private func check(_ code: rd_kafka_resp_err_t, _ operation: String) throws(StreamError) {
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: operation))
        }
    }
}
