import Streams

extension LogStage {
    /// A batch can be taken while the one before is open; both are committed in turn, and nothing is lost or doubled.
    func readyBatchesComeBeforeTheCommit() async throws {
        let log = try await log()
        let (topic, places) = try await filledTopic(log, "ready", partitions: 2)
        let group = name("ready")
        let reader = try await log.reader([topic], .group(group), maximumBatchCount: 4)
        try await reader.own(2)
        var open = try await reader.batch()
        var readyCount = 0
        while await reader.records.count < 40 {
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
        try require(readyCount > 0, "no batch was ready, though 40 records were there")
        for place in places {
            try requireEqual(await reader.values(of: place), (0..<20).map { "\($0)" }, "records of \(place)")
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
        let (topic, _) = try await filledTopic(log, "failed", partitions: 1)
        let target = try await self.topic(log, "failed-out", partitions: 1)
        let reader = try await log.reader([topic], .group(name("failed")), maximumBatchCount: 4)
        try await reader.own(1)
        var failing = try await reader.batch()
        var later = try await reader.subscription.readyBatch()
        while later == nil {
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
        let from = failing.records.first?.offset ?? 0
        try await reader.readCommitting(seen + 20 - Int(from))
        let values = await reader.values.suffix(20 - Int(from))
        try requireEqual(Array(values), (from..<20).map { "\($0)" }, "records after the failure")
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
        for place in places {
            try await log.append(
                (0..<20).map {
                    OutgoingRecord(topic: topic, partition: place.partition, key: [1], value: bytes("\($0)"))
                }
            )
        }
        return (topic, places)
    }
}
