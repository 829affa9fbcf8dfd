internal import MessageLogs
internal import Synchronization

/// Appends records outside transactions by several producers, so that several requests to a broker are under way, but of
/// each producer one.
///
/// With several of one producer under way, what a broker refuses may be taken for delivered, be written twice, or end the
/// producer, when the leader of one of its partitions moves:
///
/// | case | report |
/// |---|---|
/// | A partition takes any sequence number from a producer that is new to it: the second request, after it refused the first. librdkafka concludes that the first has arrived too, and acknowledges what is lost. | confluentinc/confluent-kafka-go#921 |
/// | A partition refuses the second request as out of order, and librdkafka begins another epoch for all partitions: what was written to another one without an answer is written again. | confluentinc/librdkafka#4953 |
/// | The same after a lost connection ends the producer with a fatal error. | confluentinc/librdkafka#4438, mended in 2.3 |
///
/// All records of one append go through one producer, in their order. A caller that waits for its append before the next
/// one, as everyone does to whom order matters, finds them in order in each partition.
final class ProducerPool: Sendable {
    /// How many producers; more of them have smaller batches and are no faster (`benchmarks ingestion`).
    private static let count = 3

    private let producers: [KafkaProducer]
    /// How many records each producer has been given and has not answered for.
    private let loads: Mutex<[Int]>

    init(_ configuration: KafkaConfiguration, clientName: String) {
        producers = (1...Self.count).map { KafkaProducer(configuration, clientName: "\(clientName)-\($0)") }
        loads = Mutex([Int](repeating: 0, count: Self.count))
    }

    /// Returns when all records are durable.
    ///
    /// The producer with the least to do takes them, of several the first: a caller alone needs one connection.
    func append(_ records: [OutgoingRecord]) async throws(StreamError) {
        let chosen = loads.withLock { loads in
            let least = loads.indices.min { loads[$0] < loads[$1] } ?? 0
            loads[least] += records.count
            return least
        }
        defer { loads.withLock { $0[chosen] -= records.count } }
        try await producers[chosen].append(records)
    }

    /// Ends the producers; appends that are under way fail.
    func close() async {
        await withDiscardingTaskGroup { group in
            for producer in producers { group.addTask { await producer.close() } }
        }
    }
}
