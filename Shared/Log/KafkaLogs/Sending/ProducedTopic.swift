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
    private enum Partition {
        /// Has acknowledged nothing, or nothing lately.
        case isNew
        /// Has been sent one record, and the report is awaited.
        case isIntroduced
        /// Knows the producer; records were last sent at this time.
        case knowsProducer(since: ContinuousClock.Instant)
    }

    /// Brokers forget a producer that is silent in a partition for long (`producer.id.expiration.ms`, by default a day).
    private static let longestSilence = Duration.seconds(60)
    private static let longestAge = Duration.seconds(30)

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
    func isOutdated(at now: ContinuousClock.Instant) -> Bool { now - countedAt > Self.longestAge }

    /// Notes how many partitions there are; nil when that could not be learned.
    func count(_ partitionCount: Int32?, at now: ContinuousClock.Instant) {
        countedAt = now
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
        guard partitions.indices.contains(Int(partition)) else { return true }
        if case .isIntroduced = partitions[Int(partition)] { return false }
        return true
    }

    /// Notes that librdkafka has taken a record.
    func noteSent(to partition: Int32, at now: ContinuousClock.Instant) {
        let index = Int(partition)
        guard partitions.indices.contains(index) else { return }
        if case .knowsProducer(let last) = partitions[index], now - last <= Self.longestSilence {
            partitions[index] = .knowsProducer(since: now)
        } else {
            partitions[index] = .isIntroduced
            introducedCount += 1
        }
    }

    /// Notes a delivery report.
    func noteReport(of partition: Int32, isDelivered: Bool, at now: ContinuousClock.Instant) {
        let index = Int(partition)
        guard partitions.indices.contains(index) else { return }
        if case .isIntroduced = partitions[index] {
            partitions[index] = isDelivered ? .knowsProducer(since: now) : .isNew
            introducedCount -= 1
        }
    }
}
