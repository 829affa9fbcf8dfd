internal import CRdkafka
internal import MessageLogs

/// How a flow that works on a batch for long stays in its group.
///
/// librdkafka leaves the group for a member that has not polled for `max.poll.interval.ms`, and a rebalance waits for the
/// member as long.
extension KafkaSubscription {
    func eventBesideRecords() throws(StreamError) -> SubscriptionEvent? {
        guard !isClosed, !isEnding else { return nil }
        giveAdvice()
        try clearDoubtIfPossible()
        try settle()
        if let event = giveUpRefused() { return event }
        if held == nil { try pollWithoutRecords() }
        if let rebalance = held, let event = try take(rebalance) { return event }
        return try regainDropped()
    }

    /// Polls while the partitions are paused.
    ///
    /// So no records come, and a rebalance does not stand behind those that were fetched already, which librdkafka fetches
    /// again afterwards.
    private func pollWithoutRecords() throws(StreamError) {
        let paused = try pause()
        // What comes all the same, as errors do, is not without end.
        for _ in 0..<options.maximumBatchCount where held == nil {
            guard stashNext(0) else { break }
        }
        try resume(paused)
    }

    /// Pauses what is fetched, and gives what is paused now.
    ///
    /// Only that may be resumed: librdkafka 2.0.2 goes back with a partition that is resumed and was not paused
    /// (confluentinc/librdkafka#4636).
    private func pause() throws(StreamError) -> [TopicPartition] {
        guard !fetched.isEmpty else { return [] }
        let list = PartitionList(fetched)
        let code = rd_kafka_pause_partitions(client.handle, list.pointer)
        try check(code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code, operation: "pause partitions"))
        return list.elements.filter { $0.error == .noError }.map(\.partition)
    }

    private func resume(_ paused: [TopicPartition]) throws(StreamError) {
        guard !paused.isEmpty else { return }
        let list = PartitionList(paused)
        let code = rd_kafka_resume_partitions(client.handle, list.pointer)
        try check(code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code, operation: "resume partitions"))
    }
}
