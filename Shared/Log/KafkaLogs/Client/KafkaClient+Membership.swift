internal import CRdkafka
internal import MessageLogs

extension KafkaClient {
    /// Leaves the group, so that others get the partitions at once, and ends the instance.
    ///
    /// Every rebalance that still needs an answer gets one, because librdkafka waits for it without limit. An instance
    /// that has not left by the deadline is abandoned until the process ends: its group notices after the session
    /// timeout.
    func endMembership(until deadline: ContinuousClock.Instant) {
        guard !hasEnded else { return }
        guard isMember else { return end() }
        answerWhatIsOwed()
        // librdkafka 2.0.2 may crash when it is closed before its first assignment.
        while rebalanceProtocol == .none, ContinuousClock.now < deadline - .seconds(5) {
            answerNext()
        }
        guard rebalanceProtocol != .none else { return end() }
        _ = KafkaError(taking: rd_kafka_consumer_close_queue(handle, queue), operation: "leave the group")
        while rd_kafka_consumer_closed(handle) == 0, ContinuousClock.now < deadline {
            answerNext()
        }
        end(isHanging: rd_kafka_consumer_closed(handle) == 0)
    }

    private var isMember: Bool {
        var list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
        guard rd_kafka_subscription(handle, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return false }
        return !PartitionList(taking: list).elements.isEmpty
    }

    /// Answers a rebalance with the one call that it waits for.
    ///
    /// While the membership ends, librdkafka is done once it has its answer: a further call would wait for ever.
    private func answerNext() {
        var kind: rd_kafka_resp_err_t?
        _ = poll(100) { event in
            if rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE { kind = rd_kafka_event_error(event) }
        }
        guard let kind else { return }
        guard rebalanceProtocol == .cooperative else {
            rd_kafka_assign(handle, nil)
            return
        }
        if kind == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS { takeNothing() } else { giveUpAll() }
    }

    /// Gives up all partitions, which answers any pending rebalance; harmless where none is pending.
    private func answerWhatIsOwed() {
        guard rebalanceProtocol == .cooperative else {
            rd_kafka_assign(handle, nil)
            return
        }
        takeNothing()
        giveUpAll()
    }

    private func takeNothing() {
        let nothing = PartitionList([:])
        _ = KafkaError(taking: rd_kafka_incremental_assign(handle, nothing.pointer), operation: "take nothing")
    }

    private func giveUpAll() {
        var list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
        rd_kafka_assignment(handle, &list)
        let assigned = list.map { PartitionList(taking: $0) } ?? PartitionList([:])
        _ = KafkaError(taking: rd_kafka_incremental_unassign(handle, assigned.pointer), operation: "give up all")
    }
}
