internal import CRdkafka
internal import MessageLogs

extension KafkaClient {
    /// First offset and end of a partition at this client's isolation level.
    func watermarks(of partition: TopicPartition, timeout: Int32) throws(StreamError) -> Range<Int64> {
        let deadline = ContinuousClock.now + .milliseconds(Int64(timeout))
        while true {
            var (low, high): (Int64, Int64) = (0, 0)
            let code = rd_kafka_query_watermark_offsets(
                handle,
                partition.topic,
                partition.partition,
                &low,
                &high,
                max(1, (deadline - .now).milliseconds)
            )
            let error = KafkaError(code, operation: "watermarks of \(partition)")
            switch error.code {
            case .noError: return low..<max(low, high)
            case .unknownTopicOrPartition, .localUnknownTopic, .unknownPartition: throw .unknownTopic(partition.topic)
            // A partition that was created or moved a moment ago: its broker does not know yet that it is the leader.
            case .notLeader, .leaderNotAvailable:
                guard ContinuousClock.now < deadline else { throw streamError(error) }
                Self.pause(milliseconds: 20)
            default: throw streamError(error)
            }
        }
    }

    /// What this client's group has committed, once no open transaction can change it any more.
    func committedOffsets(
        of partitions: some Sequence<TopicPartition>,
        timeout: Int32
    ) throws(StreamError) -> [TopicPartition: CommittedOffset] {
        let deadline = ContinuousClock.now + .milliseconds(Int64(timeout))
        while true {
            let list = PartitionList(partitions)
            let code = rd_kafka_committed(handle, list.pointer, max(1, (deadline - .now).milliseconds))
            let elements = list.elements
            let fault =
                code == RD_KAFKA_RESP_ERR_NO_ERROR ? elements.first { $0.error != .noError }?.error : .init(code)
            guard let fault else {
                let known = elements.filter { $0.offset >= 0 }
                return Dictionary(
                    uniqueKeysWithValues: known.map {
                        ($0.partition, CommittedOffset(offset: $0.offset, metadata: $0.metadata))
                    }
                )
            }
            let error = streamError(
                KafkaError(rd_kafka_resp_err_t(fault.rawValue), operation: "committed offsets")
            )
            // A group coordinator that has just started, or moved, reports this at once.
            guard case .unavailable = error, ContinuousClock.now < deadline else { throw error }
            Self.pause(milliseconds: 50)
        }
    }
}
