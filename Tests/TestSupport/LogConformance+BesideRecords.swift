import MessageLogs

extension LogStage {
    /// A reader that works on a batch for long hears what is due, gives up partitions, and misses no record by it.
    func aLongBatchHearsWhatIsDue() async throws {
        let log = try await log()
        let topic = try await topic(log, "beside", partitions: 2)
        let places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        @Sendable func append(_ range: Range<Int>) async throws {
            try await log.append(
                places.flatMap { place in
                    range.map {
                        OutgoingRecord(topic: topic, partition: place.partition, key: [1], value: bytes("\($0)"))
                    }
                }
            )
        }
        try await append(0..<10)
        let group = SubscriptionOptions.Membership.group(name("beside"))
        let holder = try await log.reader([topic], group, maximumBatchCount: 4)
        try await holder.read(4)
        // More is there than was read, and more comes; but that is not asked for.
        try await append(10..<20)
        for _ in 0..<5 {
            let event = try await holder.subscription.eventBesideRecords()
            try require(event == nil, "\(String(describing: event)) was due")
        }
        try await holder.read(24)

        let taker = try await self.log().reader([topic], group, member: "test-2")
        async let taken: Void = taker.own(1)
        while await holder.owned.count == 2 { try await holder.nextBesideRecords() }
        guard let kept = await holder.owned.first else { throw LogConformance.Failure("nothing was kept") }
        // What is left of a partition that stays is committed as before.
        let position = Int64(await holder.values(of: kept).count)
        try await holder.subscription.commit([kept: position], producing: [])
        while await taker.owned.isEmpty { try await holder.nextBesideRecords() }
        try await taken
        try await taker.read(20)
        while await holder.values(of: kept).count < 20 { _ = try await holder.next() }
        try requireEqual(await holder.values(of: kept), (0..<20).map { "\($0)" }, "records of the holder")
        for place in await taker.owned {
            try requireEqual(await taker.values(of: place), (0..<20).map { "\($0)" }, "records of the taker")
        }
        await holder.close()
        await taker.close()
    }
}

extension LogReader {
    /// Takes what is due beside records, or waits for a moment.
    fileprivate func nextBesideRecords() async throws {
        switch try await subscription.eventBesideRecords() {
        case .assigned(let partitions): assigned(partitions)
        case .revoked(let partitions, _): revoked(partitions)
        case .batch(let batch): throw LogConformance.Failure("\(batch.records.count) records came beside records")
        case nil: try await Task.sleep(for: .milliseconds(20))
        }
    }
}
