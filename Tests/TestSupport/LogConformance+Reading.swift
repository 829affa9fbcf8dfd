import MessageLogs

extension LogStage {
    func ownOffsetsAreTheReadersOwn() async throws {
        let log = try await log()
        let topic = try await topic(log, "own", partitions: 2)
        let zero = TopicPartition(topic, 0)
        let one = TopicPartition(topic, 1)
        for partition in [zero, one] {
            try await log.append(
                (0..<10).map {
                    OutgoingRecord(
                        topic: topic,
                        partition: partition.partition,
                        key: [1],
                        value: bytes("\(partition.partition)-\($0)")
                    )
                }
            )
        }
        let first = try await log.reader([topic], .groupWithOwnOffsets(name("own")))
        try await first.read(13, startingAt: [zero: 7])
        try requireEqual(await first.values(of: zero), ["0-7", "0-8", "0-9"], "records from the given offset")
        try requireEqual(await first.values(of: one), (0..<10).map { "1-\($0)" }, "records from the low watermark")
        for batch in await first.batches.suffix(1) { try await first.subscription.commit(batch, producing: []) }
        try await log.append([OutgoingRecord(topic: topic, partition: 0, key: [1], value: bytes("0-10"))])
        try await first.read(14, startingAt: [:])
        try requireEqual(await first.values(of: zero).last, "0-10", "a later record")
        await first.close()

        // What was committed is advice for tools: the reader's own word holds.
        let second = try await self.log().reader([topic], .groupWithOwnOffsets(name("own")), member: "test-2")
        try await second.read(12, startingAt: [one: 9])
        try requireEqual(await second.values(of: zero), (0...10).map { "0-\($0)" }, "records from the start")
        try requireEqual(await second.values(of: one), ["1-9"], "records from the given offset")
        await second.close()
    }

    /// A reader that ended between its own commit and the group's would otherwise leave lag that nothing takes away.
    func ownOffsetsAreToldToTheGroup() async throws {
        let log = try await log()
        let topic = try await topic(log, "told", partitions: 2)
        try await log.append((0..<4).map { OutgoingRecord(topic: topic, partition: $0 % 2, key: [1], value: [1]) })
        let reader = try await log.reader([topic], .groupWithOwnOffsets(name("told")))
        guard case .assigned(let partitions) = try await reader.next() else {
            throw LogConformance.Failure("no assignment")
        }
        try requireEqual(Set(partitions.map(\.partition)), [0, 1], "partitions")
        try await reader.subscription.start(at: [TopicPartition(topic, 0): 2, TopicPartition(topic, 1): 2])
        async let event = reader.subscription.next()
        while try await log.lag(group: name("told"), topic: topic) > 0 { try await Task.sleep(for: .milliseconds(50)) }
        await reader.close()
        if let event = try await event { throw LogConformance.Failure("the reader got \(event)") }
    }

    func tailReadsEverythingWithoutAGroup() async throws {
        let log = try await log()
        let topic = try await topic(log, "tail", partitions: 2)
        func append(_ range: Range<Int>) async throws {
            try await log.append(range.map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: bytes("\($0)")) })
        }
        try await append(0..<4)
        let young = try await log.reader([topic], .tail(since: .seconds(3_600)))
        try await young.read(4)
        let other = try await self.log().reader([topic], .tail(since: .seconds(3_600)), member: "test-2")
        let new = try await self.log().reader([topic], .tail(since: .zero), member: "test-3")
        try await new.own(2)
        try await append(4..<8)
        try await young.read(8)
        try await other.read(8)
        while await !Set(new.values).isSuperset(of: ["4", "5", "6", "7"]) { _ = try await new.next() }
        for reader in [young, other] {
            try requireEqual(await reader.values.sorted(), (0..<8).map { "\($0)" }, "records of a tail")
        }
        for reader in [young, other, new] { await reader.close() }
    }

    func replayGivesTheNewestOfEachKey() async throws {
        let log = try await log()
        let source = try await topic(log, "replay-in", partitions: 1)
        let state = try await topic(log, "replay-state", partitions: 1, cleanup: .compact)
        try await log.append([
            OutgoingRecord(topic: state, key: bytes("a"), value: bytes("a1")),
            OutgoingRecord(topic: state, key: bytes("b"), value: bytes("b1")),
            OutgoingRecord(topic: state, key: bytes("a"), value: bytes("a2")),
            OutgoingRecord(topic: source, key: [1], value: bytes("in")),
        ])
        let reader = try await log.reader([source], .group(name("replay")))
        let batch = try await reader.batch()
        try await reader.subscription.commit(
            batch,
            producing: [
                OutgoingRecord(topic: state, key: bytes("c"), value: bytes("c1"), headers: [Header("h", "x")]),
                OutgoingRecord(topic: state, key: bytes("b"), value: nil),
                OutgoingRecord(topic: state, key: bytes("a"), value: bytes("a3")),
            ]
        )
        await reader.close()
        let records = try await self.log().everything(in: state)
        var newest: [String: String] = [:]
        var last: Int64 = -1
        for record in records {
            try require(record.offset > last, "offset \(record.offset) after \(last)")
            last = record.offset
            newest[text(record.key)] = record.value.map { text($0) }
        }
        try requireEqual(newest, ["a": "a3", "c": "c1"], "state")
        try requireEqual(records.last { text($0.key) == "c" }?.header("h"), "x", "header")
    }

    func replayEndsAtEmptyAndTombstone() async throws {
        let log = try await log()
        let topic = try await topic(log, "empty", partitions: 2, cleanup: .compact)
        try requireEqual(try await log.everything(in: topic).count, 0, "records of an empty topic")
        try await log.append([
            OutgoingRecord(topic: topic, partition: 0, key: bytes("a"), value: bytes("a1")),
            OutgoingRecord(topic: topic, partition: 0, key: bytes("a"), value: nil),
        ])
        let records = try await log.everything(in: topic)
        try requireEqual(records.last { text($0.key) == "a" }.map { $0.value == nil } ?? true, true, "the tombstone")
        try requireEqual(Set(records.map(\.source.partition)).subtracting([0]), [], "partitions with records")
    }

    func lagAndWatermarksCount() async throws {
        let log = try await log()
        let topic = try await topic(log, "lag", partitions: 1)
        let partition = TopicPartition(topic, 0)
        let group = name("lag")
        try requireEqual(try await log.watermarks(of: partition).high, 0, "end of an empty partition")
        try await log.append((0..<10).map { OutgoingRecord(topic: topic, key: [1], value: bytes("\($0)")) })
        let watermarks = try await log.watermarks(of: partition)
        try require(watermarks == (0, 10), "watermarks \(watermarks)")
        for (count, first) in [(Int64(3), 7), (20, 0)] {
            let last = Collected()
            try await log.replay(partition, last: count) { await last.add($0) }
            try requireEqual(await last.records.map { text($0.value) }, (first..<10).map { "\($0)" }, "last \(count)")
        }
        try requireEqual(try await log.lag(group: group, topic: topic), 10, "lag of a group that never read")
        let reader = try await log.reader([topic], .group(group), maximumBatchCount: 4)
        let batch = try await reader.batch()
        try await reader.subscription.commit(batch, producing: [])
        let rest = 10 - batch.records.count
        try requireEqual(try await log.lag(group: group, topic: topic), Int64(rest), "lag after one batch")
        try await reader.readCommitting(10)
        try requireEqual(try await log.lag(group: group, topic: topic), 0, "lag at the end")
        await reader.close()
    }
}

extension LogReader {
    /// The values of one partition's records.
    func values(of partition: TopicPartition) -> [String] {
        records.filter { $0.source == partition }.map { text($0.value) }
    }

    /// Reads until so many records have come, giving each assignment its own offsets.
    fileprivate func read(_ count: Int, startingAt offsets: [TopicPartition: Int64]) async throws {
        while records.count < count {
            guard case .assigned(let partitions) = try await next() else { continue }
            try await subscription.start(at: offsets.filter { partitions.contains($0.key) })
        }
    }
}
