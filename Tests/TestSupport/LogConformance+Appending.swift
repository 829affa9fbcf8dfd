import MessageLogs

extension LogStage {
    func keepsOrderWithinAKey() async throws {
        let log = try await log()
        let topic = try await topic(log, "order", partitions: 4)
        for round in 0..<10 {
            try await log.append(
                (0..<100).map {
                    OutgoingRecord(topic: topic, key: bytes("k\($0 % 20)"), value: bytes("\(round * 100 + $0)"))
                }
            )
        }
        let reader = try await log.reader([topic], .group(name("order")))
        try await reader.readCommitting(1_000)
        await reader.close()
        var last: [String: Int] = [:]
        var offsets: [TopicPartition: Int64] = [:]
        let records = await reader.records
        try requireEqual(Set(records.map { text($0.value) }).count, 1_000, "different records")
        for record in records {
            let partition = Partitioner.partition(of: record.key ?? [], count: 4)
            try requireEqual(record.source, TopicPartition(topic, partition), "partition of \(text(record.key))")
            let number = Int(text(record.value)) ?? -1
            try require(
                number > last[text(record.key), default: -1],
                "\(text(record.key)) is out of order at \(number)"
            )
            try require(record.offset > offsets[record.source, default: -1], "offsets go back at \(record.offset)")
            last[text(record.key)] = number
            offsets[record.source] = record.offset
        }
    }

    func appendedRecordsAreSeenByAnotherLog() async throws {
        let topic = try await topic(log(), "durable", partitions: 2)
        try await log().append(
            (0..<10).map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: bytes("v\($0)")) }
        )
        let explicit = OutgoingRecord(topic: topic, partition: 1, key: nil, value: bytes("v10"))
        try await log().append([explicit])
        let records = try await log().everything(in: topic)
        try requireEqual(Set(records.map { text($0.value) }), Set((0...10).map { "v\($0)" }), "records")
        try requireEqual(records.first { text($0.value) == "v10" }?.source.partition, 1, "the partition that was named")
        try require(records.allSatisfy { $0.timestamp > 1_600_000_000_000 }, "timestamps are not in milliseconds")
        try await log().append([])
    }

    func headersAndMissingValuesSurvive() async throws {
        let log = try await log()
        let topic = try await topic(log, "headers", partitions: 1)
        let headers = [
            Header("content-type", "application/json"), Header("twice", "a"), Header("twice", "b"),
            Header("empty", ""), Header("bytes", bytes: [0, 255, 10]), Header("ünïcode", "ÿ"),
        ]
        try await log.append([
            OutgoingRecord(topic: topic, key: [0, 1, 255], value: [0, 0, 7], headers: headers),
            OutgoingRecord(topic: topic, key: nil, value: bytes("no key")),
            OutgoingRecord(topic: topic, key: bytes("k"), value: nil, headers: [Header("why", "deleted")]),
            OutgoingRecord(topic: topic, key: bytes("k"), value: []),
        ])
        let reader = try await log.reader([topic], .group(name("headers")))
        try await reader.readCommitting(4)
        await reader.close()
        let records = await reader.records
        try requireEqual(records[0].headers, headers, "headers")
        try requireEqual(records[0].key, [0, 1, 255], "key")
        try requireEqual(records[0].value, [0, 0, 7], "value")
        try requireEqual(records[1].key, nil, "missing key")
        try requireEqual(records[1].headers, [], "no headers")
        try requireEqual(records[2].value, nil, "missing value")
        try requireEqual(records[2].header("why"), "deleted", "header of a deletion")
        try requireEqual(records[3].value, [], "empty value")
    }

    func largeRecordsAreTakenAndTooLargeNamed() async throws {
        let log = try await log()
        let topic = try await topic(log, "large", partitions: 1)
        let large = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try await log.append([OutgoingRecord(topic: topic, key: bytes("large"), value: large)])
        let huge = [UInt8](repeating: 7, count: 8 << 20)
        let error = try await streamError("a record of 8 MiB") {
            try await log.append([OutgoingRecord(topic: topic, key: bytes("huge"), value: huge)])
        }
        guard case .tooLarge(topic, let byteCount, let limit) = error else {
            throw LogConformance.Failure("a record of 8 MiB gave \(error)")
        }
        try require(byteCount >= huge.count && limit < byteCount && limit >= 1_000_000, "sizes: \(byteCount), \(limit)")
        try await log.append([OutgoingRecord(topic: topic, key: bytes("small"), value: bytes("after"))])
        let records = try await log.everything(in: topic)
        try requireEqual(records.map { text($0.key) }, ["large", "small"], "keys")
        try require(records.first?.value == large, "the large value came back changed")
    }

    func concurrentAppendersLoseNothing() async throws {
        let log = try await log()
        let topic = try await topic(log, "concurrent", partitions: 3)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for appender in 0..<20 {
                group.addTask {
                    for number in 0..<25 {
                        let record = OutgoingRecord(topic: topic, key: bytes("a\(appender)"), value: bytes("\(number)"))
                        try await log.append([record])
                    }
                }
            }
            try await group.waitForAll()
        }
        let records = try await log.everything(in: topic)
        try requireEqual(records.count, 500, "records")
        for appender in 0..<20 {
            let own = records.filter { text($0.key) == "a\(appender)" }.map { text($0.value) }
            try requireEqual(own, (0..<25).map { "\($0)" }, "records of appender \(appender)")
        }
    }

    func createTopicsIsIdempotent() async throws {
        let log = try await log()
        let topic = try await topic(log, "create", partitions: 3)
        _ = try await self.topic(log, "create", partitions: 3)
        try requireEqual(try await log.partitionCount(of: topic), 3, "partitions")
        try requireEqual(try await log.partitionCount(of: name("absent")), nil, "partitions of an absent topic")
        let error = try await streamError("another partition count") {
            _ = try await self.topic(log, "create", partitions: 5)
        }
        try requireEqual(error, .topicMismatch(topic: topic, expected: 5, found: 3), "error")
    }

    func cleanupIsCompared() async throws {
        let log = try await log()
        let day = TopicSpecification.Cleanup.delete(after: .seconds(86_400))
        let deleting = try await topic(log, "deleting", partitions: 1, cleanup: day)
        let compacted = try await topic(log, "compacted", partitions: 1, cleanup: .compact)
        // How long records stay is the operator's choice.
        let right = [deleting: TopicSpecification.Cleanup.delete(after: .seconds(60)), compacted: .compact]
        try requireEqual(try await log.checkCleanup(of: right), [], "topics that could not be checked")
        for (topic, name, wrong) in [(deleting, "deleting", .compact), (compacted, "compacted", day)] {
            let errors = [
                try await streamError("another cleanup, checked") {
                    _ = try await log.checkCleanup(of: right.merging([topic: wrong]) { $1 })
                },
                try await streamError("another cleanup, created again") {
                    _ = try await self.topic(log, name, partitions: 1, cleanup: wrong)
                },
            ]
            for error in errors {
                guard case .settingMismatch(topic, let setting, let expected, let found, let advice) = error else {
                    throw LogConformance.Failure("not named as a wrong setting: \(error)")
                }
                try require(expected != found && !expected.isEmpty && !found.isEmpty, "\(error)")
                let parts = [topic, "\(setting)=\(found)", "\(setting)=\(expected)", advice]
                try require(parts.allSatisfy { "\(error)".contains($0) }, "not all is said: \(error)")
            }
        }
        let absent = name("absent")
        let error = try await streamError("an absent topic") {
            _ = try await log.checkCleanup(of: [absent: .compact])
        }
        try requireEqual(error, .unknownTopic(absent), "error")
    }

    func unknownTopicsAreNamed() async throws {
        let log = try await log()
        let absent = name("absent")
        let operations: [(String, @Sendable () async throws -> Void)] = [
            ("append", { try await log.append([OutgoingRecord(topic: absent, key: [1], value: [1])]) }),
            (
                "subscribe",
                { _ = try await log.subscribe(.init(topics: [absent], membership: .group("g"), memberName: "m")) }
            ),
            ("watermarks", { _ = try await log.watermarks(of: TopicPartition(absent, 0)) }),
            ("lag", { _ = try await log.lag(group: "g", topic: absent) }),
            ("replay", { try await log.replay(TopicPartition(absent, 0)) { _ in } }),
        ]
        for (operation, run) in operations {
            let error = try await streamError("\(operation) on an absent topic", run)
            try requireEqual(error, .unknownTopic(absent), operation)
        }
    }
}
