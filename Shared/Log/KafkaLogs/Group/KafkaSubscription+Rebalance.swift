internal import CRdkafka
internal import MessageLogs
internal import Synchronization

extension KafkaSubscription {
    /// Gives the group the answer that was held while the flow dealt with the last event.
    func settle() throws(StreamError) {
        guard let answer else { return }
        self.answer = nil
        switch answer {
        case .assign(let offsets):
            try fetch(offsets)
        case .revoke(let partitions):
            let given = fetched.intersection(partitions)
            fetched.subtract(given)
            if isCooperative {
                let list = PartitionList(given)
                try check(
                    KafkaError(
                        taking: rd_kafka_incremental_unassign(client.handle, list.pointer),
                        operation: "give up partitions"
                    )
                )
            } else {
                fetched = []
                try assignAll()
            }
        }
    }

    /// Fetches these partitions from these offsets, also those that are being fetched from another.
    func fetch(_ offsets: [TopicPartition: Int64]) throws(StreamError) {
        let again = fetched.intersection(offsets.keys)
        fetched.formUnion(offsets.keys)
        positions.merge(offsets) { $1 }
        guard isCooperative else { return try assignAll() }
        if !again.isEmpty {
            let list = PartitionList(again)
            try check(
                KafkaError(
                    taking: rd_kafka_incremental_unassign(client.handle, list.pointer),
                    operation: "step back"
                )
            )
        }
        let list = PartitionList(offsets)
        try check(
            KafkaError(
                taking: rd_kafka_incremental_assign(client.handle, list.pointer),
                operation: "take partitions"
            )
        )
    }

    /// The answer of protocols that know no increments, and of the end of a membership.
    private func assignAll() throws(StreamError) {
        let list = PartitionList(positions.filter { fetched.contains($0.key) })
        let code = rd_kafka_assign(client.handle, fetched.isEmpty ? nil : list.pointer)
        try check(code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code, operation: "assign"))
    }

    private var isCooperative: Bool { client.groupProtocol == .cooperative }

    func check(_ error: KafkaError?) throws(StreamError) {
        guard let error else { return }
        throw .fatal("Kafka at \(configuration.brokerList): \(error)")
    }

    /// The member was put out of its group, so others may have its partitions already.
    var isLost: Bool { rd_kafka_assignment_lost(client.handle) != 0 }

    // MARK: - Events

    /// Takes in a rebalance; nil when there is nothing the flow has to know.
    func take(_ rebalance: Rebalance) throws(StreamError) -> SubscriptionEvent? {
        guard rebalance.isAssignment else { return try revoke(rebalance.partitions) }
        guard !rebalance.partitions.isEmpty else {
            held = nil
            answer = .assign([:])
            try settle()
            return nil
        }
        // Stays held until the offsets are known, so that a failure can be tried again.
        let event = try assign(rebalance.partitions)
        held = nil
        return event
    }

    private func revoke(_ partitions: [TopicPartition]) throws(StreamError) -> SubscriptionEvent? {
        let isLost = isLost
        held = nil
        let visible = owned.intersection(partitions)
        giveLastAdvice(of: partitions)
        owned.subtract(partitions)
        dropped.subtract(partitions)
        refused.subtract(partitions)
        forgetPositions(of: partitions)
        for partition in partitions { unstarted[partition] = nil }
        // The flow asked for this event, so it is done with their last batch, and others may have them now.
        answer = .revoke(partitions)
        try settle()
        if !isLost { try finishRevocation() }
        guard !visible.isEmpty else { return nil }
        return .revoked(Self.sorted(visible), lost: isLost)
    }

    /// Answers the assignment of nothing with which librdkafka ends a cooperative revocation; before that it does not join
    /// the group again, and nobody gets what was given up, however long the flow takes until it asks again.
    private func finishRevocation() throws(StreamError) {
        let deadline = ContinuousClock.now + .seconds(1)
        while isCooperative, held == nil, ContinuousClock.now < deadline {
            stashNext()
        }
        guard let rebalance = held, rebalance.isAssignment, rebalance.partitions.isEmpty else { return }
        held = nil
        try fetch([:])
    }

    /// Nothing more of these partitions is delivered.
    private func forgetPositions(of partitions: some Sequence<TopicPartition>) {
        for partition in partitions { positions[partition] = nil }
        stash.removeAll { positions[$0.source] == nil }
    }

    private func assign(_ partitions: [TopicPartition]) throws(StreamError) -> SubscriptionEvent {
        let starts = try startingOffsets(of: partitions)
        owned.formUnion(partitions)
        if waitsForStart {
            // What was resumed belongs to an earlier assignment.
            resumed.withLock { resumed in
                for partition in partitions { resumed[partition] = nil }
            }
            unstarted.merge(starts) { $1 }
            answer = .assign([:])
        } else {
            answer = .assign(starts)
        }
        return .assigned(Self.sorted(partitions))
    }

    private var waitsForStart: Bool {
        if case .groupWithOwnOffsets = options.membership { return true }
        return options.holdsNewPartitions
    }

    /// Fetches what the flow has resumed.
    func startResumed() throws(StreamError) {
        guard options.holdsNewPartitions, !unstarted.isEmpty else { return }
        let floors = resumed.withLock { resumed in
            defer { resumed = [:] }
            return resumed
        }
        var starts: [TopicPartition: Int64] = [:]
        for (partition, committed) in unstarted {
            guard let floor = floors[partition] else { continue }
            starts[partition] = floor > committed ? try start(of: partition, committed, floor) : committed
        }
        guard !starts.isEmpty else { return }
        for partition in starts.keys { unstarted[partition] = nil }
        try fetch(starts)
    }

    /// A floor past the end is of a topic that was made anew since.
    private func start(of partition: TopicPartition, _ committed: Int64, _ floor: Int64) throws(StreamError) -> Int64 {
        let end = try untilAvailable(.now + .seconds(60)) { () throws(StreamError) in
            try client.watermarks(of: partition, timeout: 5_000).upperBound
        }
        return floor <= end ? floor : committed
    }

    /// Tells the flow that what it did with these partitions since the last commit is void.
    func giveUpRefused() -> SubscriptionEvent? {
        let lost = owned.intersection(refused)
        refused = []
        guard !lost.isEmpty else { return nil }
        owned.subtract(lost)
        for partition in lost { unstarted[partition] = nil }
        dropped.formUnion(lost)
        forgetPositions(of: lost)
        return .revoked(Self.sorted(lost), lost: true)
    }

    /// Assigns partitions of a failed commit again, from what is committed.
    func regainDropped() throws(StreamError) -> SubscriptionEvent? {
        guard !dropped.isEmpty, !isLost, ContinuousClock.now >= expectsRebalanceUntil else { return nil }
        let partitions = Self.sorted(dropped)
        let event = try assign(partitions)
        dropped = []
        return event
    }

    /// The offsets to go on from: what is committed, else the first that is there.
    private func startingOffsets(of partitions: [TopicPartition]) throws(StreamError) -> [TopicPartition: Int64] {
        // A broker that restarts is waited for.
        try untilAvailable(.now + .seconds(60)) { () throws(StreamError) in try askStartingOffsets(of: partitions) }
    }

    private func askStartingOffsets(of partitions: [TopicPartition]) throws(StreamError) -> [TopicPartition: Int64] {
        var committed: [TopicPartition: Int64] = [:]
        if case .group = options.membership {
            // While its offsets are as it left them.
            try clearDoubt(until: .now)
            committed = try committedOffsets(of: partitions).mapValues(\.offset)
        }
        var starts: [TopicPartition: Int64] = [:]
        for partition in partitions {
            let low = try client.watermarks(of: partition, timeout: 5_000).lowerBound
            let offset = committed[partition] ?? low
            // What is held may be given a floor yet; the fetch would tell.
            guard offset >= low || options.holdsNewPartitions else {
                throw .offsetGone(partition, committed: offset, low: low)
            }
            starts[partition] = offset
        }
        return starts
    }
}
