internal import MessageLogs

/// The transactional producer of a group's member: opened when it is needed, and replaced when it is of no use any more.
///
/// Used by one thread at a time, its calls block.
final class MemberProducer {
    private let configuration: KafkaConfiguration
    private let timeout: Duration
    private let requests: SubscriptionRequests
    private var id: String
    private var producer: TransactionalProducer?
    /// When another producer, or the broker, last took this one's place.
    private var fencedAt: ContinuousClock.Instant?
    /// A connection or a producer was lost, so that something may have been left open.
    var isInDoubt = false

    /// Names the producer; it is opened later.
    init(_ configuration: KafkaConfiguration, id: String, timeout: Duration, _ requests: SubscriptionRequests) {
        self.configuration = configuration
        self.id = id
        self.timeout = timeout
        self.requests = requests
    }

    /// Opens a producer; earlier ones of the same id are fenced, and the broker ends what it knows to be open.
    func open(until deadline: ContinuousClock.Instant) throws(StreamError) {
        producer = nil
        while true {
            do throws(StreamError) {
                producer = try TransactionalProducer(
                    configuration,
                    id: id,
                    timeout: timeout,
                    deadline: deadline,
                    isEnding: { requests.isClosing }
                )
                return
            } catch {
                // Another producer of the same id that opens at the same moment fences this one before it is open.
                guard case .commitRefused = error, ContinuousClock.now < deadline, !requests.isClosing else {
                    throw error
                }
            }
        }
    }

    /// The producer, opened if there is none.
    func opened() throws(TransactionFailure) -> TransactionalProducer {
        if producer == nil {
            do throws(StreamError) {
                try open(until: .now + configuration.connectTimeout)
            } catch {
                throw .invalid(error)
            }
        }
        guard let producer else { throw .invalid(.closed) }
        return producer
    }

    /// Lends the producer to a step that can be done again.
    ///
    /// - Throws: `.unavailable` when the outcome is unknown.
    func use(_ body: (TransactionalProducer) throws(TransactionFailure) -> Void) throws(StreamError) {
        do throws(TransactionFailure) {
            try body(try opened())
        } catch {
            switch error {
            case .invalid(let error): throw error
            case .aborted(let error): throw error.streamError(brokers: configuration.brokerList)
            case .unknown(let error):
                replace(because: error)
                throw .unavailable("Kafka at \(configuration.brokerList): \(error)")
            }
        }
    }

    /// Lets go of a producer that is of no use any more; the next call opens another.
    ///
    /// After an error that does not say how a transaction ended, a producer must not be used again: a commit or abort that
    /// is late would hit its next transaction (Jepsen, Bufstream 0.1.0).
    func replace(because error: KafkaError) {
        producer = nil
        isInDoubt = true
        guard error.isFenced else { return }
        // Mostly it was the broker, to end a transaction that took too long, and the same id is needed to clear up after
        // it. Two that fence each other would go on for ever: under another id the group's generation still keeps a
        // zombie's commit out.
        if let fencedAt, fencedAt > .now - .seconds(60) {
            id = "\(id.prefix(200))-\(UInt32.random(in: 0 ... .max))"
        }
        fencedAt = .now
    }

    /// Whether a connection was lost since this was asked last; true without a producer.
    func takeConnectionLoss() -> Bool { producer?.takeConnectionLoss() ?? true }

    /// Notes when a connection was lost.
    func noteConnectionLoss() {
        if producer?.takeConnectionLoss() == true { isInDoubt = true }
    }

    /// Gives up the producer.
    func close() { producer = nil }
}

extension KafkaError {
    /// Another producer of the same id took over, or the broker ended the transaction for its age.
    var isFenced: Bool { [.fenced, .producerFenced, .invalidProducerEpoch].contains(code) }

    /// The group has a new generation.
    var isGenerationChange: Bool { [.illegalGeneration, .rebalanceInProgress].contains(code) }
}
