internal import CRdkafka
internal import Failpoints
internal import MessageLogs

extension KafkaSubscription {
    /// Makes offsets and outputs visible together, or neither.
    func commit(
        _ offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError) {
        guard !isClosed else { throw .closed }
        switch options.membership {
        case .group:
            if Protection.atomicCommit.isOff { return try await commitApart(offsets, outputs) }
            do throws(StreamError) {
                try transact(offsets, outputs)
            } catch {
                refused.formUnion(owned.intersection(offsets.keys))
                throw error
            }
        case .groupWithOwnOffsets:
            if !outputs.isEmpty { try await appender.append(outputs) }
            note(advice: offsets)
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

    /// Opens a transactional producer; earlier ones of the same id are fenced.
    func openTransactions(until deadline: ContinuousClock.Instant) throws(StreamError) {
        transactions = nil
        transactions = try TransactionalProducer(
            configuration,
            id: transactionalId,
            timeout: options.transactionTimeout,
            deadline: deadline,
            isEnding: { self.isEnding }
        )
    }

    private func transact(
        _ offsets: [TopicPartition: Int64],
        _ outputs: [OutgoingRecord]
    ) throws(StreamError) {
        guard !offsets.isEmpty else {
            // Without offsets the broker would not look who sends it.
            guard outputs.isEmpty else { throw .ownerless(outputs.count) }
            return
        }
        let partitions = Set(offsets.keys)
        guard partitions.isSubset(of: owned), partitions.isDisjoint(with: refused), !isLost else {
            let missing = partitions.subtracting(owned.subtracting(refused))
            throw .commitRefused("\(options.memberName) does not own \(Self.sorted(missing)) any more")
        }
        try clearDoubt(until: .now + .seconds(60))
        guard partitions.isDisjoint(with: refused) else {
            throw .commitRefused("the broker lost the last commit of \(options.memberName)")
        }
        outputTopics.formUnion(outputs.map(\.topic))
        commitCount += 1
        let note = "\(options.memberName) \(UInt64.random(in: 0 ... .max)) \(commitCount)"
        var commit = Commit(offsets: offsets, note: note, outputs: outputs)
        let list = PartitionList(offsets, note: note)
        var attempts = 0
        while true {
            guard let member = GroupMember(of: client) else {
                expectRebalance()
                throw .commitRefused("\(options.memberName) is not a member of its group any more")
            }
            attempts += 1
            do throws(TransactionFailure) {
                try openedTransactions().run(outputs, offsets: list, member: member.metadata)
                commit.isAcknowledged = true
                lastCommit = commit
                isInDoubt = transactions?.takeConnectionLoss() ?? true
                return
            } catch {
                switch error {
                // A cooperative rebalance changes the generation while the partitions stay ours: the same transaction is
                // right under the new one. A member that lost them gets no new generation before it has said so.
                case .aborted(let error)
                where error.isGenerationChange && attempts < 20 && !isLost
                    && GroupMember(of: client)?.name == member.name:
                    KafkaClient.pause(milliseconds: 25)
                case .aborted(let error): throw refusal(error, outputs)
                case .invalid(let error): throw error
                case .doubtful(let error): return try resolve(commit, because: error)
                }
            }
        }
    }

    func openedTransactions() throws(TransactionFailure) -> TransactionalProducer {
        if transactions == nil {
            do throws(StreamError) {
                try openTransactions(until: .now + configuration.connectTimeout)
            } catch {
                throw .invalid(error)
            }
        }
        guard let transactions else { throw .invalid(.closed) }
        return transactions
    }

    private func refusal(_ error: KafkaError, _ outputs: [OutgoingRecord]) -> StreamError {
        switch error.code {
        case .messageTooLarge, .recordListTooLarge:
            let largest = outputs.max { RecordSender.byteCount(of: $0) < RecordSender.byteCount(of: $1) }
            let byteCount = largest.map { RecordSender.byteCount(of: $0) } ?? 0
            return .tooLarge(topic: largest?.topic ?? "", byteCount: byteCount, limit: configuration.maximumRecordSize)
        case .unknownMember, .illegalGeneration, .fencedInstance, .rebalanceInProgress:
            expectRebalance()
            return .commitRefused(error.description)
        case let code where KafkaError.Code.configurationFaults.contains(code):
            return error.streamError(brokers: configuration.brokerList)
        default:
            return .commitRefused(error.description)
        }
    }

    /// The group will take the partitions away; until it does, they are not assigned again.
    private func expectRebalance() {
        expectsRebalanceUntil = .now + options.sessionTimeout
    }
}

extension KafkaError {
    /// Another producer of the same id took over, or the broker ended the transaction for its age.
    var isFenced: Bool { [.fenced, .producerFenced, .invalidProducerEpoch].contains(code) }

    /// The group has a new generation.
    var isGenerationChange: Bool { [.illegalGeneration, .rebalanceInProgress].contains(code) }
}

/// Owner of a member's identity in its group, which brokers check offsets against.
final class GroupMember {
    /// Lent to librdkafka; valid as long as this object.
    let metadata: OpaquePointer
    /// The name the broker gave the member.
    let name: String

    /// Reads who the client is in its group; nil while it is nobody.
    ///
    /// The check is ours because brokers take offsets in a transaction without any check from a client that names no
    /// member, which is what a member that was put out is for a moment.
    init?(of client: KafkaClient) {
        guard let metadata = rd_kafka_consumer_group_metadata(client.handle) else { return nil }
        self.metadata = metadata
        guard let name = rd_kafka_memberid(client.handle) else { return nil }
        self.name = String(cString: name)
        rd_kafka_mem_free(client.handle, name)
        guard !self.name.isEmpty, Self.generation(of: metadata, member: self.name).map({ $0 >= 0 }) == true else {
            return nil
        }
    }

    deinit {
        rd_kafka_consumer_group_metadata_destroy(metadata)
    }

    /// The generation in the metadata, which librdkafka shows only in its written form: a mark of 7 bytes, the
    /// generation as four bytes of the machine's order, then names.
    static func generation(of metadata: OpaquePointer, member: String) -> Int32? {
        var buffer: UnsafeMutableRawPointer?
        var size = 0
        let error = KafkaError(
            taking: rd_kafka_consumer_group_metadata_write(metadata, &buffer, &size),
            operation: "group metadata"
        )
        guard error == nil, let buffer else { return nil }
        defer { rd_kafka_mem_free(nil, buffer) }
        let bytes = UnsafeRawBufferPointer(start: buffer, count: size)
        let mark = Array("CGMDv2:".utf8)
        guard bytes.starts(with: mark), size >= mark.count + 4 else { return nil }
        let names = bytes.dropFirst(mark.count + 4).split(separator: 0, omittingEmptySubsequences: false)
        // The member in the metadata is the one that counts; a rejoin may have come in between.
        guard names.count > 1, names[1].elementsEqual(member.utf8) else { return nil }
        return bytes.loadUnaligned(fromByteOffset: mark.count, as: Int32.self)
    }
}
