import MessageLogs

extension LogStage {
    /// Partitions that are being restored wait, the others go on, and each assignment holds anew.
    func heldPartitionsFlowOnceResumed() async throws {
        let log = try await log()
        let topic = try await topic(log, "held", partitions: 2)
        let (zero, one) = (TopicPartition(topic, 0), TopicPartition(topic, 1))
        @Sendable func append(_ range: Range<Int>) async throws {
            try await log.append(
                [zero, one].flatMap { place in
                    range.map {
                        OutgoingRecord(topic: topic, partition: place.partition, key: [1], value: bytes("\($0)"))
                    }
                }
            )
        }
        let group = SubscriptionOptions.Membership.group(name("held"))
        try await append(0..<10)
        let reader = try await log.reader([topic], group, maximumBatchCount: 4, holdsNewPartitions: true)
        try await reader.own(2)
        reader.subscription.resume([one])
        try await reader.readCommitting(10)
        try await append(10..<20)
        try await reader.readCommitting(20)
        try requireEqual(Set(await reader.records.map(\.source)), [one], "partitions that gave records")

        // Resumed while the reader waits, by another task.
        async let rest: Void = reader.readCommitting(40)
        reader.subscription.resume([zero])
        try await rest
        for place in [zero, one] {
            try requireEqual(await reader.values(of: place), (0..<20).map { "\($0)" }, "records of \(place)")
        }

        // A partition that went away and came back is held again, whatever was said of it before.
        let other = try await self.log().reader([topic], group, member: "test-2")
        async let taken: Void = other.own(1)
        try await reader.own(1)
        try await taken
        let away = await reader.owned.contains(zero) ? one : zero
        let kept = away == zero ? one : zero
        reader.subscription.resume([away])
        await other.close()
        try await reader.own(2)
        try await append(20..<30)
        try await reader.readCommitting(50)
        try requireEqual(await reader.values(of: kept).count, 30, "records of the partition that stayed")
        try requireEqual(await reader.values(of: away).count, 20, "records of the partition that came back")
        reader.subscription.resume([away])
        try await reader.readCommitting(60)
        try requireEqual(await reader.values(of: away), (0..<30).map { "\($0)" }, "records once it is resumed")
        await reader.close()
    }
}
