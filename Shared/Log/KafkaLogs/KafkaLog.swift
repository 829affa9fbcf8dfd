internal import Failpoints
internal import Glibc
public import MessageLogs
internal import Synchronization

/// The message log over Apache Kafka.
///
/// Every blocking call of librdkafka is made on the thread of the actor that owns the client: one for queries, some for
/// appends, one for each subscription, and one for each replay while it lasts.
public final class KafkaLog: MessageLog {
    private let configuration: KafkaConfiguration
    private let administrator: KafkaAdministrator
    private let producers: ProducerPool
    /// The known lag of groups, so that an idle partition is not read again.
    private let knownLags = Mutex<[String: KnownLag]>([:])

    private struct KnownLag {
        var committed: Int64
        var end: Int64
        var lag: Int64
    }

    /// Opens the log at `kafka://host:port,host:port?key=value`; `KafkaConfiguration` lists the keys.
    ///
    /// - Throws: `.configuration` for a wrong address or setting or refused credentials, `.unavailable` with the
    ///   address when no broker answers within the connect timeout.
    public convenience init(address: String, settings: [String: String] = [:]) async throws(StreamError) {
        try await self.init(KafkaConfiguration(address: address, settings: settings))
    }

    /// Opens the log of a cluster.
    public init(_ configuration: KafkaConfiguration) async throws(StreamError) {
        self.configuration = configuration
        administrator = try KafkaAdministrator(configuration)
        producers = ProducerPool(configuration, clientName: "userllm-appender")
        try await administrator.connect()
    }

    /// Appends records and returns when all replicas that are in sync have them.
    public func append(_ records: [OutgoingRecord]) async throws(StreamError) {
        try await producers.append(records)
    }

    /// Joins a group, or reads all partitions alone.
    public func subscribe(_ options: SubscriptionOptions) async throws(StreamError) -> any Subscription {
        var partitions: [TopicPartition] = []
        for topic in options.topics {
            let count = try await administrator.requiredPartitionCount(of: topic)
            partitions += (0..<count).map { TopicPartition(topic, $0) }
        }
        let subscription = try KafkaSubscription(configuration, options: options, appender: producers)
        guard case .tail(let age) = options.membership else {
            try await subscription.join()
            return subscription
        }
        // The ends are queried first: records appended between the two queries are then read, not missed.
        let ends = try await administrator.watermarks(of: partitions)
        let starts = try await administrator.offsets(of: partitions, since: Self.timestamp(before: age))
        let offsets = ends.map { partition, range in
            (partition, min(range.upperBound, starts[partition] ?? range.upperBound))
        }
        try await subscription.follow(from: Dictionary(uniqueKeysWithValues: offsets))
        return subscription
    }

    /// Reads all committed records of a partition up to its true end at the time of the call.
    public func replay(
        _ partition: TopicPartition,
        last count: Int64?,
        waitingForOpenTransactions waits: Bool,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws {
        let ranges = try await administrator.watermarks(of: [partition]).mapValues { range in
            max(range.lowerBound, count.map { range.upperBound - $0 } ?? 0)..<range.upperBound
        }
        guard ranges.values.contains(where: { !$0.isEmpty }) else { return }
        let reader = try PartitionReader(
            configuration,
            ranges: ranges,
            waitsForOpenTransactions: waits && !Protection.restoreBarrier.isOff
        )
        do {
            var next = try await reader.next()
            while let records = next {
                // The next piece is copied out of the client while this one is worked on.
                async let following = reader.next()
                try await body(records)
                next = try await following
            }
        } catch {
            await reader.close()
            throw error
        }
        await reader.close()
    }

    /// Creates topics that do not exist and checks those that do.
    public func createTopics(_ topics: [TopicSpecification]) async throws(StreamError) {
        try await administrator.createTopics(topics)
    }

    /// Checks that the `cleanup.policy` of topics matches their specification.
    public func checkCleanup(
        of topics: [String: TopicSpecification.Cleanup]
    ) async throws(StreamError) -> [String] {
        try await administrator.checkCleanup(of: topics)
    }

    /// The number of partitions of a topic; nil when there is no such topic.
    public func partitionCount(of topic: String) async throws(StreamError) -> Int32? {
        try await administrator.partitionCount(of: topic)
    }

    /// The first offset that is still there, and one past the last.
    public func watermarks(of partition: TopicPartition) async throws(StreamError) -> (low: Int64, high: Int64) {
        let range = try await administrator.watermarks(of: [partition])[partition] ?? 0..<0
        return (range.lowerBound, range.upperBound)
    }

    /// The offsets a group will go on from; a partition without a commit is missing.
    public func committedOffsets(
        group: String,
        topic: String
    ) async throws(StreamError) -> [TopicPartition: Int64] {
        try await administrator.committedOffsets(group: group, topic: topic)
    }

    /// How many records of each partition a group has still to read.
    ///
    /// Offsets include the log's own control records. If fewer than a thousand are left, they are read and the records
    /// counted; above that the offset distance itself is returned.
    public func lags(group: String, topic: String) async throws(StreamError) -> [TopicPartition: Int64] {
        let committed = try await committedOffsets(group: group, topic: topic)
        var lags: [TopicPartition: Int64] = [:]
        var near: [TopicPartition: Range<Int64>] = [:]
        for (partition, range) in try await administrator.watermarks(ofTopic: topic) {
            let start = min(range.upperBound, max(range.lowerBound, committed[partition] ?? range.lowerBound))
            let distance = range.upperBound - start
            if let known = knownLag(group, partition), known.committed == start, known.end == range.upperBound {
                lags[partition] = known.lag
            } else if distance == 0 || distance > 1_000 {
                lags[partition] = distance
            } else {
                near[partition] = start..<range.upperBound
            }
        }
        guard !near.isEmpty else { return lags }
        return lags.merging(try await count(near, group: group)) { $1 }
    }

    private func count(
        _ ranges: [TopicPartition: Range<Int64>],
        group: String
    ) async throws(StreamError) -> [TopicPartition: Int64] {
        let reader = try PartitionReader(configuration, ranges: ranges, waitsForOpenTransactions: false)
        var counts = ranges.mapValues { _ in Int64(0) }
        do throws(StreamError) {
            while let records = try await reader.next() {
                for record in records { counts[record.source, default: 0] += 1 }
            }
        } catch {
            await reader.close()
            throw error
        }
        let withheld = await reader.withheld
        await reader.close()
        knownLags.withLock { known in
            // With a transaction still open the count changes without the end moving, so it is not cached.
            for (partition, range) in ranges where withheld[partition] == nil {
                known["\(group) \(partition)"] = KnownLag(
                    committed: range.lowerBound,
                    end: range.upperBound,
                    lag: counts[partition] ?? 0
                )
            }
        }
        return counts.merging(withheld, uniquingKeysWith: +)
    }

    private func knownLag(_ group: String, _ partition: TopicPartition) -> KnownLag? {
        knownLags.withLock { $0["\(group) \(partition)"] }
    }

    /// Ends all work and gives up the connections.
    public func close() async {
        await producers.close()
        await administrator.close()
    }

    private static func timestamp(before age: Duration) -> Int64 {
        max(0, KafkaClient.milliseconds - max(0, age.wholeMilliseconds))
    }
}
