import MessageLogs

/// Commits of offsets that are not the end of a batch, and waits that are given up.
extension LogStage {
    func commitsMayStayBehindWhatWasRead() async throws {
        let log = try await log()
        let (source, target) = try await filledAndEmpty(log, "behind", 10)
        let partition = TopicPartition(source, 0)
        let reader = try await log.reader([source], .group(name("behind")), maximumBatchCount: 4)
        try await reader.read(10)
        // The offset stays where the first open record is, while outputs of later ones are committed.
        for output in ["a", "b", "c"] {
            let record = OutgoingRecord(topic: target, key: [1], value: bytes(output))
            try await reader.subscription.commit([partition: 3], producing: [record])
            let committed = try await log.committedOffsets(group: name("behind"), topic: source)
            try requireEqual(committed, [partition: 3], "offsets after \(output)")
        }
        try requireEqual(try await log.everything(in: target).map { text($0.value) }, ["a", "b", "c"], "outputs")
        try requireEqual(try await log.lag(group: name("behind"), topic: source), 7, "lag")
        // Nothing was given again meanwhile, and reading goes on behind what was read.
        try await log.append([OutgoingRecord(topic: source, key: [1], value: bytes("10"))])
        try await reader.read(11)
        try requireEqual(await reader.values, (0...10).map { "\($0)" }, "records of the first member")
        await reader.close()

        let heir = try await self.log().reader([source], .group(name("behind")), member: "test-2")
        try await heir.read(8)
        try requireEqual(await heir.values, (3...10).map { "\($0)" }, "records of the second member")
        try await heir.subscription.commit([partition: 11], producing: [])
        try requireEqual(try await log.lag(group: name("behind"), topic: source), 0, "lag at the end")
        await heir.close()
    }

    func anOffsetThatIsSaidAgainIsFenced() async throws {
        let first = try await log()
        let source = try await topic(first, "again-in", partitions: 2)
        let target = try await topic(first, "again-out", partitions: 1)
        for partition: Int32 in 0..<2 {
            let records = (0..<3).map {
                OutgoingRecord(topic: source, partition: partition, key: [1], value: bytes("\($0)"))
            }
            try await first.append(records)
        }
        let holder = try await first.reader([source], .group(name("again")))
        try await holder.read(6)
        let offsets = [TopicPartition(source, 0): Int64(1), TopicPartition(source, 1): 1]
        try await holder.subscription.commit(offsets, producing: [])
        let taker = try await log().reader([source], .group(name("again")), member: "test-2")
        async let taken: Void = taker.own(1)
        try await holder.own(1)
        try await taken
        guard let lost = await taker.owned.first else { throw LogConformance.Failure("nothing was taken") }

        let error = try await streamError("an offset of a lost partition") {
            let output = OutgoingRecord(topic: target, key: [1], value: bytes("stale"))
            try await holder.subscription.commit([lost: 1], producing: [output])
        }
        guard case .commitRefused = error else { throw LogConformance.Failure("the commit gave \(error)") }
        try requireEqual(try await first.everything(in: target).count, 0, "outputs of a refused commit")
        try await taker.read(2)
        try await taker.subscription.commit(
            [lost: 1],
            producing: [OutgoingRecord(topic: target, key: [1], value: bytes("fresh"))]
        )
        try requireEqual(try await first.everything(in: target).map { text($0.value) }, ["fresh"], "outputs")
        try requireEqual(await taker.values(of: lost), ["1", "2"], "records of the new owner")
        await holder.close()
        await taker.close()
    }

    func outputsNeedAPartition() async throws {
        let log = try await log()
        let (source, target) = try await filledAndEmpty(log, "ownerless", 1)
        let reader = try await log.reader([source], .group(name("ownerless")))
        try await reader.read(1)
        let error = try await streamError("outputs without a partition") {
            let output = OutgoingRecord(topic: target, key: [1], value: bytes("x"))
            try await reader.subscription.commit([:], producing: [output])
        }
        guard case .configuration = error else { throw LogConformance.Failure("the commit gave \(error)") }
        try await reader.subscription.commit([:], producing: [])
        try requireEqual(try await log.everything(in: target).count, 0, "outputs")
        await reader.close()
    }

    /// Records come while waits are given up at any moment: each is given once, in order.
    func aWaitThatIsCancelledLosesNothing() async throws {
        let log = try await log()
        let topic = try await topic(log, "cancel", partitions: 1)
        let reader = try await log.reader([topic], .group(name("cancel")), maximumBatchCount: 3)
        try await reader.own(1)
        let count = 60
        async let appending: Void = append(count, to: topic, of: log)
        while await reader.records.count < count {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask { try await reader.nextUnlessCancelled() }
                group.addTask {
                    // Ends a wait after a moment that differs from time to time.
                    try? await Task.sleep(for: .milliseconds(Int.random(in: 0...20)))
                    return false
                }
                _ = try await group.next()
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        try await appending
        try requireEqual(await reader.values, (0..<count).map { "\($0)" }, "records")
        try await reader.subscription.commit([TopicPartition(topic, 0): Int64(count)], producing: [])
        await reader.close()
    }

    private func append(_ count: Int, to topic: String, of log: any MessageLog) async throws {
        for number in 0..<count {
            try await log.append([OutgoingRecord(topic: topic, key: [1], value: bytes("\(number)"))])
        }
    }

    private func filledAndEmpty(
        _ log: any MessageLog,
        _ purpose: String,
        _ count: Int
    ) async throws -> (String, String) {
        let source = try await topic(log, "\(purpose)-in", partitions: 1)
        let target = try await topic(log, "\(purpose)-out", partitions: 1)
        try await log.append(
            (0..<count).map { OutgoingRecord(topic: source, key: [1], value: bytes("\($0)")) }
        )
        return (source, target)
    }
}

extension LogReader {
    /// Takes the next event, if it comes before the task is cancelled.
    fileprivate func nextUnlessCancelled() async throws -> Bool {
        guard let event = try await subscription.next() else { return false }
        switch event {
        case .assigned(let partitions): assigned(partitions)
        case .revoked(let partitions, _): revoked(partitions)
        case .batch(let batch): read(batch)
        }
        return true
    }
}
