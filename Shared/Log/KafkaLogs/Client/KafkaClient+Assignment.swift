internal import CRdkafka
internal import MessageLogs

extension KafkaClient {
    /// The rebalance protocol of the group that the client is a member of.
    ///
    /// It is read when it is needed: when a membership has ended there is none any more.
    var rebalanceProtocol: RebalanceProtocol {
        switch rd_kafka_rebalance_protocol(handle).map({ String(cString: $0) }) {
        case "COOPERATIVE": .cooperative
        case "EAGER": .eager
        default: .none
        }
    }

    /// Whether the member was removed from its group, so that others may already have its partitions.
    var isAssignmentLost: Bool { rd_kafka_assignment_lost(handle) != 0 }

    /// Changes what librdkafka fetches, and answers a rebalance with it.
    func make(_ change: AssignmentChange) throws(StreamError) {
        for call in change.calls(under: rebalanceProtocol) {
            guard let error = error(of: call) else { continue }
            throw .fatal("Kafka at \(configuration.brokerList): \(error)")
        }
    }

    private func error(of call: AssignmentCall) -> KafkaError? {
        switch call {
        case .assign(let offsets):
            let list = PartitionList(offsets)
            return error(rd_kafka_assign(handle, list.pointer), "assign")
        case .unassign:
            return error(rd_kafka_assign(handle, nil), "unassign")
        case .incrementalAssign(let offsets):
            let list = PartitionList(offsets)
            return KafkaError(
                taking: rd_kafka_incremental_assign(handle, list.pointer),
                operation: "incremental assign"
            )
        case .incrementalUnassign(let partitions):
            let list = PartitionList(partitions)
            return KafkaError(
                taking: rd_kafka_incremental_unassign(handle, list.pointer),
                operation: "incremental unassign"
            )
        }
    }

    private func error(_ code: rd_kafka_resp_err_t, _ operation: String) -> KafkaError? {
        code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code, operation: operation)
    }
}
