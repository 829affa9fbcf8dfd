internal import CRdkafka
internal import Failpoints
internal import MessageLogs

extension KafkaSubscription {
    /// Makes offsets and outputs visible together, or neither.
    func commit(
        _ offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError) {
        guard !client.hasEnded else { throw .closed }
        switch options.membership {
        case .group:
            if Protection.atomicCommit.isOff { return try await commitApart(offsets, outputs) }
            do throws(StreamError) {
                try transact(offsets, outputs)
            } catch {
                _ = group.handle(.commitFailed(Set(offsets.keys)))
                throw error
            }
        case .groupWithOwnOffsets:
            if !outputs.isEmpty { try await appender.append(outputs) }
            advisory.note(offsets.filter { group.owns($0.key) })
        case .tail:
            if !outputs.isEmpty { try await appender.append(outputs) }
        }
    }

    /// What a commit is without transactions: a process that ends in the middle has lost what the batch produced.
    private func commitApart(
        _ offsets: [TopicPartition: Int64],
        _ outputs: [OutgoingRecord]
    ) async throws(StreamError) {
        let list = PartitionList(offsets)
        let code = rd_kafka_commit(client.handle, list.pointer, 0)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw client.streamError(KafkaError(code, operation: "commit offsets"))
        }
        Failpoint.betweenOffsetsAndOutputs.reach()
        try await appender.append(outputs)
    }

    // MARK: - Transactions

    private func transact(
        _ offsets: [TopicPartition: Int64],
        _ outputs: [OutgoingRecord]
    ) throws(StreamError) {
        guard !offsets.isEmpty else {
            // Without offsets the broker would not look who sends it.
            guard outputs.isEmpty else { throw .ownerless(outputs.count) }
            return
        }
        let missing = offsets.keys.filter { !group.mayCommit($0) }
        guard missing.isEmpty, !client.isAssignmentLost else {
            throw .commitRefused("\(options.memberName) does not own \(missing.inOrder()) any more")
        }
        // Nothing may be built on a commit that the broker may have lost.
        let lost = try recovery.check(until: .now + .seconds(60))
        _ = group.handle(.commitFailed(lost))
        guard lost.isDisjoint(with: offsets.keys) else {
            throw .commitRefused("the broker lost the last commit of \(options.memberName)")
        }
        let commit = recovery.begin(offsets, outputs)
        let list = PartitionList(offsets, metadata: commit.metadata)
        var attempts = 0
        while true {
            guard let member = GroupMember(of: client) else {
                expectRebalance()
                throw .commitRefused("\(options.memberName) is not a member of its group any more")
            }
            attempts += 1
            do throws(TransactionFailure) {
                try producer.opened().run(outputs, offsets: list, member: member.metadata)
                return recovery.acknowledge(commit)
            } catch {
                switch error {
                // A cooperative rebalance changes the generation while the partitions stay ours: the same transaction is
                // right under the new one. A member that lost them gets no new generation before it has said so.
                case .aborted(let error)
                where error.isGenerationChange && attempts < 20 && !client.isAssignmentLost
                    && GroupMember(of: client)?.name == member.name:
                    KafkaClient.pause(milliseconds: 25)
                case .aborted(let error): throw refusal(error, outputs)
                case .invalid(let error): throw error
                case .unknown(let error): return try resolve(commit, because: error)
                }
            }
        }
    }

    /// Learns how a commit ended whose answer did not come.
    func resolve(_ commit: PendingCommit, because error: KafkaError) throws(StreamError) {
        switch try recovery.outcome(of: commit, because: error) {
        case .committed: return
        case .aborted: throw .commitRefused(error.description)
        case .unknown(let silence): throw silence
        }
    }

    private func refusal(_ error: KafkaError, _ outputs: [OutgoingRecord]) -> StreamError {
        switch error.code {
        case .messageTooLarge, .recordListTooLarge:
            let largest = outputs.max { RecordSender.byteCount(of: $0) < RecordSender.byteCount(of: $1) }
            let byteCount = largest.map { RecordSender.byteCount(of: $0) } ?? 0
            let limit = client.configuration.maximumRecordSize
            return .tooLarge(topic: largest?.topic ?? "", byteCount: byteCount, limit: limit)
        case .unknownMember, .illegalGeneration, .fencedInstance, .rebalanceInProgress:
            expectRebalance()
            return .commitRefused(error.description)
        case let code where KafkaError.Code.configurationFaults.contains(code):
            return error.streamError(brokers: client.configuration.brokerList)
        default:
            return .commitRefused(error.description)
        }
    }

    /// The group will take the partitions away; until it does, they are not assigned again.
    private func expectRebalance() {
        _ = group.handle(.rebalanceExpected(until: .now + options.sessionTimeout))
    }

    // MARK: - The last commit

    /// Looks whether the last commit is still there, where nothing is lost by waiting: at most once a second while the
    /// broker is away.
    func checkLastCommit() throws(StreamError) {
        _ = group.handle(.commitFailed(try recovery.checkIfPossible()))
    }

    // MARK: - Advisory commits

    /// Tells the group how far a reader is that keeps its offsets itself, when it is time for it.
    func commitAdvisoryIfDue(isIdle: Bool = false) {
        guard advisory.isDue(isIdle: isIdle) else { return }
        commitAdvisory()
    }

    /// Tells the group of some partitions before others may have them, and forgets them.
    func commitLastAdvisory(of partitions: some Sequence<TopicPartition>) {
        if advisory.concerns(partitions) { commitAdvisory() }
        advisory.forget(partitions)
    }

    private func commitAdvisory() {
        guard !client.isAssignmentLost, let member = GroupMember(of: client) else { return }
        advisory.commit(by: producer, as: member)
    }
}
