internal import MessageLogs

/// A topic as one idempotent producer knows it: its partitions, and which of them know the producer.
///
/// A broker takes any sequence number from a producer that is new to a partition. With a second request under way it may
/// accept that one after it refused the first, as when a leader moves, and librdkafka concludes from its acceptance that
/// the first has arrived too (confluentinc/confluent-kafka-go#921): a lost record would be acknowledged. So a partition
/// gets one record, and no other before that one is acknowledged; from then on every replica in sync has the producer's
/// sequence number and refuses a gap, and several requests may be under way. An idempotent producer keeps its id as long
/// as it lives: librdkafka raises the epoch alone, and a known producer's new epoch has to begin with sequence number 0.
final class ProducedTopic {
    private enum Partition: UInt8 {
        /// Has acknowledged nothing, or nothing lately.
        case isNew
        /// Has been sent one record, and the report is awaited.
        case isIntroduced
        /// Knows the producer, and was sent nothing since partitions were last counted.
        case isIdle
        /// Knows the producer, and was sent records since.
        case isUsed
    }

    /// How old a count of the partitions may be; also how long, at the least, one that knows the producer may be idle.
    ///
    /// Brokers forget a producer that is silent in a partition for long (`producer.id.expiration.ms`, by default a day).
    private static let countAge = Duration.seconds(30)

    let topic: KafkaTopic
    private var partitions: [Partition]
    private var countedAt: ContinuousClock.Instant

    /// How many partitions have been sent their first record, and not acknowledged it yet.
    private(set) var introducedCount = 0

    /// Takes a topic whose partitions were counted at this time.
    init(_ topic: KafkaTopic, partitionCount: Int32, at now: ContinuousClock.Instant) {
        self.topic = topic
        partitions = Array(repeating: .isNew, count: Int(partitionCount))
        countedAt = now
    }

    /// Whether partitions should be counted again, as some may have been added.
    func isOutdated(at now: ContinuousClock.Instant) -> Bool { now - countedAt > Self.countAge }

    /// Notes how many partitions there are, nil when that could not be learned; those that were idle are new again.
    func count(_ partitionCount: Int32?, at now: ContinuousClock.Instant) {
        let isTopicIdle = now - countedAt > Self.countAge * 2
        countedAt = now
        for (index, partition) in partitions.enumerated() {
            switch partition {
            case .isIdle: partitions[index] = .isNew
            case .isUsed: partitions[index] = isTopicIdle ? .isNew : .isIdle
            case .isNew, .isIntroduced: break
            }
        }
        guard let count = partitionCount.map({ Int($0) }), count > partitions.count else { return }
        partitions += Array(repeating: .isNew, count: count - partitions.count)
    }

    /// The partition of a record: the one it names, or that of its key, or for records without a key the same for all
    /// that are appended together.
    func partition(of record: OutgoingRecord, tag: UInt) -> Int32 {
        if let partition = record.partition { return partition }
        let count = Int32(partitions.count)
        guard let key = record.key else { return Int32(tag % UInt(count)) }
        return Partitioner.partition(of: key, count: count)
    }

    /// Whether a record may be sent to a partition now.
    ///
    /// A partition that does not exist admits everything: librdkafka refuses the record by name.
    func admits(_ partition: Int32) -> Bool {
        let index = Int(partition)
        return !partitions.indices.contains(index) || partitions[index] != .isIntroduced
    }

    /// Notes that librdkafka has taken a record.
    func noteSent(to partition: Int32) {
        let index = Int(partition)
        guard partitions.indices.contains(index) else { return }
        switch partitions[index] {
        case .isUsed, .isIntroduced: break
        case .isIdle: partitions[index] = .isUsed
        case .isNew:
            partitions[index] = .isIntroduced
            introducedCount += 1
        }
    }

    /// Notes a delivery report.
    func noteReport(of partition: Int32, isDelivered: Bool) {
        let index = Int(partition)
        guard partitions.indices.contains(index), partitions[index] == .isIntroduced else { return }
        partitions[index] = isDelivered ? .isUsed : .isNew
        introducedCount -= 1
    }
}
