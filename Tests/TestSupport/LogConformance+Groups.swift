import MessageLogs

extension LogStage {
    func lateJoinerReadsFromTheStart() async throws {
        let log = try await log()
        let topic = try await topic(log, "late", partitions: 2)
        try await log.append((0..<20).map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: bytes("\($0)")) })
        for group in ["first", "second"] {
            let reader = try await log.reader([topic], .group(name(group)))
            try await reader.readCommitting(20)
            await reader.close()
            try requireEqual(Set(await reader.values), Set((0..<20).map { "\($0)" }), "records of the \(group) group")
        }
    }

    func laterMemberGoesOnFromTheCommit() async throws {
        let log = try await log()
        let topic = try await topic(log, "later", partitions: 1)
        try await log.append((0..<10).map { OutgoingRecord(topic: topic, key: [1], value: bytes("\($0)")) })
        let first = try await log.reader([topic], .group(name("later")), maximumBatchCount: 4)
        let batch = try await first.batch()
        try await first.subscription.commit(batch, producing: [])
        await first.close()

        let second = try await self.log().reader([topic], .group(name("later")), member: "test-2")
        try await second.readCommitting(10 - batch.records.count)
        await second.close()
        try requireEqual(await second.values, (batch.records.count..<10).map { "\($0)" }, "the rest")
    }

    func batchesAreBounded() async throws {
        let log = try await log()
        let topic = try await topic(log, "bounded", partitions: 3)
        try await log.append((0..<50).map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: bytes("\($0)")) })
        let reader = try await log.reader([topic], .group(name("bounded")), maximumBatchCount: 7)
        try await reader.readCommitting(50)
        await reader.close()
        let counts = await reader.batches.map(\.records.count)
        try require(counts.allSatisfy { (1...7).contains($0) }, "batches of \(counts)")
    }

    func uncommittedBatchComesAgainAfterClose() async throws {
        let log = try await log()
        let topic = try await topic(log, "again", partitions: 1)
        try await log.append((0..<5).map { OutgoingRecord(topic: topic, key: [1], value: bytes("\($0)")) })
        let first = try await log.reader([topic], .group(name("again")))
        try await first.read(5)
        await first.close()
        let second = try await self.log().reader([topic], .group(name("again")), member: "test-2")
        try await second.readCommitting(5)
        await second.close()
        try requireEqual(await second.values, ["0", "1", "2", "3", "4"], "records after a close without commit")
    }

    func skippedBatchIsNotGivenAgain() async throws {
        let log = try await log()
        let topic = try await topic(log, "skip", partitions: 1)
        try await log.append((0..<4).map { OutgoingRecord(topic: topic, key: [1], value: bytes("\($0)")) })
        let reader = try await log.reader([topic], .group(name("skip")), maximumBatchCount: 2)
        try await reader.read(4)
        guard let last = await reader.batches.last else { throw LogConformance.Failure("no batch") }
        try await reader.subscription.commit(last, producing: [])
        await reader.close()
        try requireEqual(await reader.values, ["0", "1", "2", "3"], "records")
        let offsets = try await log.committedOffsets(group: name("skip"), topic: topic)
        try requireEqual(offsets, [TopicPartition(topic, 0): last.nextOffsets[TopicPartition(topic, 0)]], "offsets")
    }

    func commitIsAtomic() async throws {
        let log = try await log()
        let source = try await topic(log, "atomic-in", partitions: 1)
        let first = try await topic(log, "atomic-out1", partitions: 2)
        let second = try await topic(log, "atomic-out2", partitions: 1, cleanup: .compact)
        try await log.append((0..<3).map { OutgoingRecord(topic: source, key: [1], value: bytes("\($0)")) })
        let reader = try await log.reader([source], .group(name("atomic")))
        var total = 0
        while total < 3 {
            let batch = try await reader.batch()
            let before = try await log.everything(in: first).count
            try requireEqual(before, total, "outputs before the commit")
            let outputs =
                batch.records.map { OutgoingRecord(topic: first, key: $0.value, value: $0.value) }
                + batch.records.map { OutgoingRecord(topic: second, key: $0.value, value: $0.value) }
            try await reader.subscription.commit(batch, producing: outputs)
            total += batch.records.count
            let committed = try await log.committedOffsets(group: name("atomic"), topic: source)
            try requireEqual(committed, batch.nextOffsets, "offsets")
        }
        await reader.close()
        for topic in [first, second] {
            let values = try await log.everything(in: topic).map { text($0.value) }
            try requireEqual(values.sorted(), ["0", "1", "2"], "outputs in \(topic)")
        }
    }

    func refusedOutputsLeaveNothingBehind() async throws {
        let log = try await log()
        let source = try await topic(log, "refused-in", partitions: 1)
        let target = try await topic(log, "refused-out", partitions: 1)
        try await log.append([OutgoingRecord(topic: source, key: [1], value: bytes("in"))])
        let reader = try await log.reader([source], .group(name("refused")))
        let batch = try await reader.batch()
        let good = OutgoingRecord(topic: target, key: [1], value: bytes("good"))
        let huge = OutgoingRecord(topic: target, key: [1], value: [UInt8](repeating: 1, count: 8 << 20))
        let error = try await streamError("an output of 8 MiB") {
            try await reader.subscription.commit(batch, producing: [good, huge])
        }
        guard case .tooLarge = error else { throw LogConformance.Failure("an output of 8 MiB gave \(error)") }
        try requireEqual(try await log.everything(in: target).count, 0, "outputs of a commit that threw")
        try requireEqual(try await log.committedOffsets(group: name("refused"), topic: source), [:], "offsets")

        let again = try await reader.batch()
        try requireEqual(again.records, batch.records, "the batch after a commit that threw")
        try await reader.subscription.commit(again, producing: [good])
        await reader.close()
        try requireEqual(try await log.everything(in: target).map { text($0.value) }, ["good"], "outputs")
    }

    func commitAfterLosingAPartitionIsRefused() async throws {
        let first = try await log()
        let source = try await topic(first, "lost-in", partitions: 4)
        let target = try await topic(first, "lost-out", partitions: 1)
        for partition in 0..<4 {
            let record = OutgoingRecord(
                topic: source,
                partition: Int32(partition),
                key: [1],
                value: bytes("\(partition)")
            )
            try await first.append([record])
        }
        let holder = try await first.reader([source], .group(name("lost")))
        try await holder.read(4)
        let taker = try await log().reader([source], .group(name("lost")), member: "test-2")
        async let taken: Void = taker.own(2)
        try await holder.own(2)
        try await taken

        let lost = Set((0..<4).map { TopicPartition(source, $0) }).subtracting(await holder.owned)
        let stale = await holder.batches.filter { !lost.isDisjoint(with: $0.nextOffsets.keys) }
        try require(!stale.isEmpty, "no batch had a record of \(lost)")
        for batch in stale {
            let error = try await streamError("a commit for a lost partition") {
                let output = OutgoingRecord(topic: target, key: [1], value: bytes("stale"))
                try await holder.subscription.commit(batch, producing: [output])
            }
            guard case .commitRefused = error else { throw LogConformance.Failure("the commit gave \(error)") }
        }
        try requireEqual(try await first.everything(in: target).count, 0, "outputs of refused commits")
        try await taker.readCommitting(2)
        try requireEqual(Set(await taker.records.map(\.source)), lost, "what the new owner reads")
        await holder.close()
        await taker.close()
    }

    func closeEndsAWaitingReader() async throws {
        let log = try await log()
        let topic = try await topic(log, "close", partitions: 1)
        let reader = try await log.reader([topic], .group(name("close")))
        try await reader.own(1)
        async let event = reader.subscription.next()
        await reader.close()
        if let event = try await event { throw LogConformance.Failure("after close: \(event)") }
        if let event = try await reader.subscription.next() {
            throw LogConformance.Failure("long after close: \(event)")
        }
    }

    func membersSharePartitionsExactlyOnce() async throws {
        let log = try await log()
        let source = try await topic(log, "share-in", partitions: 4)
        let target = try await topic(log, "share-out", partitions: 2)
        let group = SubscriptionOptions.Membership.group(name("share"))
        let appended = Counter()
        @Sendable func append(_ count: Int) async throws {
            let start = await appended.add(count)
            let records = (start..<(start + count)).map {
                OutgoingRecord(topic: source, key: bytes("\($0)"), value: bytes("\($0)"))
            }
            try await log.append(records)
        }
        let done = Counter()
        let first = try await self.log().reader([source], group, maximumBatchCount: 10, member: "test-1")
        try await append(200)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await first.copy(to: target, counting: done) }
            try await poll { await done.value >= 50 }
            let second = try await self.log().reader([source], group, maximumBatchCount: 10, member: "test-2")
            tasks.addTask { try await second.copy(to: target, counting: done) }
            try await append(200)
            try await poll {
                let (one, two) = (await first.owned.count, await second.owned.count)
                return one == 2 && two == 2
            }
            try await append(200)
            try await poll { await done.value == 600 }
            try require(await !second.records.isEmpty, "the second member read nothing")
            await first.close()
            try await append(200)
            try await poll { await done.value == 800 }
            try requireEqual(await second.owned.count, 4, "partitions of the member that stayed")
            await second.close()
            try await tasks.waitForAll()
        }
        let values = try await log.everything(in: target).compactMap { Int(text($0.value)) }
        try requireEqual(values.count, 800, "outputs")
        try requireEqual(values.sorted(), Array(0..<800), "outputs, each once")
        try requireEqual(try await log.lag(group: name("share"), topic: source), 0, "lag")
    }
}

extension LogReader {
    /// Copies every record to another topic, in the commit, until the subscription is closed.
    fileprivate func copy(to target: String, counting done: Counter) async throws {
        while let event = try await subscription.next() {
            switch event {
            case .assigned(let partitions): assigned(partitions)
            case .revoked(let partitions, _): revoked(partitions)
            case .batch(let batch):
                let outputs = batch.records.map { OutgoingRecord(topic: target, key: $0.key, value: $0.value) }
                if try await commits(batch, outputs) { _ = await done.add(batch.records.count) }
            }
        }
    }

    /// Whether the commit was taken; if not, whoever owns the partitions now gets the records.
    private func commits(_ batch: Batch, _ outputs: [OutgoingRecord]) async throws -> Bool {
        do {
            try await subscription.commit(batch, producing: outputs)
        } catch {
            guard case .commitRefused = error else { throw error }
            return false
        }
        read(batch)
        return true
    }
}

/// A number that several tasks add to.
actor Counter {
    private(set) var value = 0

    /// Adds, and gives what it was before.
    func add(_ count: Int) -> Int {
        defer { value += count }
        return value
    }
}
