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
        // What was answered before it was read would be answered again after the close, when librdkafka may be done: its
        // main thread drops requests that come as it leaves, and whoever made them waits for ever.
        while answerNext(within: 0), ContinuousClock.now < deadline {}
        // librdkafka 2.0.2 may crash when it is closed before its first assignment.
        while rebalanceProtocol == .none, ContinuousClock.now < deadline - .seconds(5) {
            answerNext(within: 100)
        }
        guard rebalanceProtocol != .none else { return end() }
        _ = KafkaError(taking: rd_kafka_consumer_close_queue(handle, queue), operation: "leave the group")
        while rd_kafka_consumer_closed(handle) == 0, ContinuousClock.now < deadline {
            answerNext(within: 100)
        }
        end(isHanging: rd_kafka_consumer_closed(handle) == 0)
    }

    private var isMember: Bool {
        var list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
        guard rd_kafka_subscription(handle, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return false }
        return !PartitionList(taking: list).elements.isEmpty
    }

    /// Reads one event, and answers it when it is a rebalance.
    ///
    /// While the membership ends, librdkafka waits for the answer to each rebalance that it tells of, and is done then.
    ///
    /// - Returns: whether there was an event within the milliseconds.
    @discardableResult
    private func answerNext(within milliseconds: Int32) -> Bool {
        let error = poll(milliseconds) { event -> rd_kafka_resp_err_t? in
            rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE ? rd_kafka_event_error(event) : nil
        }
        guard let error else { return false }
        if let kind = error { answer(kind) }
        return true
    }

    private func answer(_ kind: rd_kafka_resp_err_t) {
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
