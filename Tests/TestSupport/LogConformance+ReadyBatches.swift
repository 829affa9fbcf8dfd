import MessageLogs

extension LogStage {
    /// A batch can be taken while the one before is open; both are committed in turn, and nothing is lost or doubled.
    func readyBatchesComeBeforeTheCommit() async throws {
        let log = try await log()
        let (topic, places) = try await filledTopic(log, "ready", partitions: 2)
        let group = name("ready")
        let reader = try await log.reader([topic], .group(group), maximumBatchCount: 4)
        try await reader.own(2)
        var open = try await reader.batch()
        var (readyCount, count) = (0, 20)
        while await reader.records.count < 2 * count || readyCount == 0 {
            // On a busy machine other events may have been due each time.
            if await reader.records.count == 2 * count {
                try await fill(log, places, count..<count + 20)
                count += 20
            }
            let ready = try await reader.subscription.readyBatch()
            try await reader.subscription.commit(open, producing: [])
            if let ready {
                try require(ready.records.count <= 4, "a ready batch of \(ready.records.count)")
                await reader.read(ready)
                readyCount += 1
                open = ready
            } else {
                open = try await reader.batch()
            }
        }
        for place in places {
            try requireEqual(await reader.values(of: place), (0..<count).map { "\($0)" }, "records of \(place)")
        }
        let rest = try await reader.subscription.readyBatch()
        try require(rest == nil, "a ready batch behind the end")
        try await reader.subscription.commit(open, producing: [])
        try requireEqual(try await log.lag(group: group, topic: topic), 0, "lag")
        await reader.close()
    }

    /// When a commit fails, a later batch of the same partition cannot be committed over it; both come again.
    func aFailedCommitTakesLaterBatchesWithIt() async throws {
        let log = try await log()
        let (topic, places) = try await filledTopic(log, "failed", partitions: 1)
        let target = try await self.topic(log, "failed-out", partitions: 1)
        let reader = try await log.reader([topic], .group(name("failed")), maximumBatchCount: 4)
        try await reader.own(1)
        var failing = try await reader.batch()
        var later = try await reader.subscription.readyBatch()
        var count = 20
        while later == nil {
            if await reader.records.count == count {
                try await fill(log, places, count..<count + 20)
                count += 20
            }
            try await reader.subscription.commit(failing, producing: [])
            failing = try await reader.batch()
            later = try await reader.subscription.readyBatch()
        }
        for (batch, topic) in [(failing, "test-no-such-topic"), (later, target)] {
            guard let batch else { continue }
            let error = try await streamError("a commit to \(topic)") {
                let output = OutgoingRecord(topic: topic, key: [1], value: bytes("x"))
                try await reader.subscription.commit(batch, producing: [output])
            }
            guard topic == target else { continue }
            guard case .commitRefused = error else { throw LogConformance.Failure("the later commit gave \(error)") }
        }
        try requireEqual(try await log.everything(in: target).count, 0, "outputs of the refused commit")

        let seen = await reader.records.count
        let from = Int(failing.records.first?.offset ?? 0)
        try await reader.readCommitting(seen + count - from)
        let values = await reader.values.suffix(count - from)
        try requireEqual(Array(values), (from..<count).map { "\($0)" }, "records after the failure")
        await reader.close()
    }

    /// A member that joins while a batch is ahead waits for both open batches: they are committed, and nothing comes twice.
    func aRebalanceWaitsForBatchesTakenAhead() async throws {
        let log = try await log()
        let (topic, places) = try await filledTopic(log, "ahead", partitions: 2)
        let group = SubscriptionOptions.Membership.group(name("ahead"))
        let first = try await log.reader([topic], group, maximumBatchCount: 4)
        try await first.own(2)
        let open = try await first.batch()
        let ahead = try await first.subscription.readyBatch()
        let second = try await self.log().reader([topic], group, maximumBatchCount: 4, member: "test-2")
        async let joined: Void = second.own(1)
        // Long enough for the group to hear of the second member.
        try await Task.sleep(for: .milliseconds(500))
        try await first.subscription.commit(open, producing: [])
        if let ahead {
            await first.read(ahead)
            try await first.subscription.commit(ahead, producing: [])
        }
        while await first.owned.count != 1 {
            if case .batch(let batch) = try await first.next() {
                try await first.subscription.commit(batch, producing: [])
            }
        }
        try await joined
        for place in places {
            let reader = await first.owned.contains(place) ? first : second
            while await first.values(of: place).count + second.values(of: place).count < 20 {
                try await reader.subscription.commit(try await reader.batch(), producing: [])
            }
            let values = await first.values(of: place) + second.values(of: place)
            try requireEqual(values, (0..<20).map { "\($0)" }, "records of \(place), of both members")
        }
        await first.close()
        await second.close()
    }

    /// A reader that keeps its own offsets and never runs out of ready batches still tells the group how far it is.
    func readyBatchesAreToldToTheGroup() async throws {
        let log = try await log()
        let (topic, places) = try await filledTopic(log, "told", partitions: 2)
        let group = name("told")
        let reader = try await log.reader([topic], .groupWithOwnOffsets(group), maximumBatchCount: 4)
        try await reader.own(2)
        try await reader.subscription.start(at: [:])
        try await reader.subscription.commit(try await reader.batch(), producing: [])
        while await reader.records.count < 40 {
            if let ready = try await reader.subscription.readyBatch() {
                await reader.read(ready)
                try await reader.subscription.commit(ready, producing: [])
            } else {
                try await reader.subscription.commit(try await reader.batch(), producing: [])
            }
        }
        for place in places {
            try requireEqual(await reader.values(of: place), (0..<20).map { "\($0)" }, "records of \(place)")
        }
        try await poll {
            _ = try await reader.subscription.readyBatch()
            return try await log.lag(group: group, topic: topic) == 0
        }
        await reader.close()
    }

    /// A topic with 20 records in each partition.
    private func filledTopic(
        _ log: any MessageLog,
        _ purpose: String,
        partitions count: Int32
    ) async throws -> (String, [TopicPartition]) {
        let topic = try await topic(log, purpose, partitions: count)
        let places = (0..<count).map { TopicPartition(topic, $0) }
        try await fill(log, places, 0..<20)
        return (topic, places)
    }

    private func fill(_ log: any MessageLog, _ places: [TopicPartition], _ range: Range<Int>) async throws {
        for place in places {
            try await log.append(
                range.map {
                    OutgoingRecord(topic: place.topic, partition: place.partition, key: [1], value: bytes("\($0)"))
                }
            )
        }
    }
}
