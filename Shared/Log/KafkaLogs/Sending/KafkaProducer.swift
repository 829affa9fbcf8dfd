internal import CRdkafka
internal import Concurrency
internal import MessageLogs

/// Appends records outside transactions: idempotent, acknowledged by all replicas, many callers at once, one request to a
/// broker at a time.
///
/// Callers submit their records to the intake. One of them at a time drives the producer on its own thread: it hands
/// records to librdkafka, reads delivery reports and answers the others. When its own records are done, it hands over
/// to a caller that is still waiting, so no task outlives its caller.
actor KafkaProducer {
    private let executor = BlockingExecutor(label: "kafka.producer")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let configuration: KafkaConfiguration
    private let clientName: String
    private let sender = RecordSender()
    private let intake = AppendIntake()
    private var appends: [UInt: Append] = [:]
    /// Tags of appends that have records to hand over, in the order they came.
    private var unsent: [UInt] = []

    init(_ configuration: KafkaConfiguration, clientName: String) {
        self.configuration = configuration
        self.clientName = clientName
    }

    /// Returns when all records are durable.
    nonisolated func append(_ records: [OutgoingRecord]) async throws(StreamError) {
        guard !records.isEmpty else { return }
        try RecordSender.checkSizes(records, configuration: configuration)
        let tag = try intake.submit(records, deadline: .now + configuration.deliveryTimeout)
        while true {
            switch await intake.signal(for: tag) {
            case .done(let result): return try result.get()
            case .drive: await drive(until: tag)
            }
        }
    }

    /// Ends the producer; appends that are under way fail.
    nonisolated func close() async {
        intake.close()
        await shut()
    }

    private func shut() {
        if let client = intake.takeClient() { end(client) }
        failAll(.closed)
    }

    private func end(_ client: KafkaClient) {
        rd_kafka_purge(client.handle, Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT))
        client.end()
    }

    // MARK: - The driver, on the producer's thread

    private func drive(until tag: UInt) {
        while true {
            takeSubmitted()
            handOver()
            if intake.isClosed { failAll(.closed) }
            if intake.isFinished(tag) { break }
            readReports()
        }
        intake.passOn()
    }

    private func takeSubmitted() {
        for append in intake.takeSubmitted() {
            appends[append.tag] = append
            unsent.append(append.tag)
        }
    }

    /// Hands records to librdkafka until its queue is full.
    private func handOver() {
        var failures: [String: StreamError] = [:]
        while let tag = unsent.first {
            // One that has failed may have been answered already.
            guard var append = appends.removeValue(forKey: tag) else {
                unsent.removeFirst()
                continue
            }
            var isQueueFull = false
            if append.failure == nil {
                do throws(StreamError) {
                    isQueueFull = try send(&append, &failures)
                } catch {
                    append.failure = error
                }
            }
            if append.isSent { unsent.removeFirst() }
            if append.isDone { finish(append) } else { appends[tag] = append }
            if isQueueFull { return }
        }
    }

    /// Whether the queue was full before all of an append's records were in it.
    ///
    /// `failures` has the topics that could not be looked up meanwhile: the brokers are asked once for all who append to
    /// them, because everybody waits for their answer.
    private func send(_ append: inout Append, _ failures: inout [String: StreamError]) throws(StreamError) -> Bool {
        let client = try openClient()
        var last: KafkaTopic?
        while append.sentCount < append.records.count {
            let record = append.records[append.sentCount]
            let topic: KafkaTopic
            if let last, last.name == record.topic {
                topic = last
            } else {
                if let failure = failures[record.topic] { throw failure }
                do throws(StreamError) {
                    topic = try client.topic(record.topic)
                } catch {
                    failures[record.topic] = error
                    throw error
                }
            }
            last = topic
            guard let error = sender.send(record, topic: topic, tag: append.tag, by: client) else {
                append.sentCount += 1
                append.outstanding += 1
                continue
            }
            guard error.code == .queueFull else { throw deliveryError(error, record: record) }
            guard ContinuousClock.now < append.deadline else {
                throw .unavailable("Kafka at \(configuration.brokerList) does not take records fast enough: \(error)")
            }
            return true
        }
        return false
    }

    private func openClient() throws(StreamError) -> KafkaClient {
        guard !intake.isClosed else { throw .closed }
        if let open = intake.client { return open }
        let client = try KafkaClient(configuration, role: .appender, name: clientName)
        intake.open(client)
        return client
    }

    private func readReports() {
        guard let client = intake.client else { return }
        // If records are left over, the queue is full and reports make room; otherwise new submissions wake the thread.
        var timeout: Int32 = unsent.isEmpty ? 100 : 10
        while true {
            let found: Bool? = client.poll(timeout) { event in
                switch rd_kafka_event_type(event) {
                case RD_KAFKA_EVENT_DR: readReports(in: event)
                default: client.note(event, operation: "append")
                }
                return true
            }
            guard found != nil else { break }
            timeout = 0
        }
        if let error = client.fatalError { replace(client, because: error) }
    }

    private func readReports(in event: OpaquePointer) {
        var tag: UInt = 0
        var delivered = 0
        while let message = rd_kafka_event_message_next(event) {
            let messageTag = UInt(bitPattern: message.pointee._private)
            if messageTag != tag {
                settle(tag, delivered)
                (tag, delivered) = (messageTag, 0)
            }
            delivered += 1
            if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { fail(messageTag, message) }
        }
        settle(tag, delivered)
    }

    private func fail(_ tag: UInt, _ message: UnsafePointer<rd_kafka_message_t>) {
        guard appends[tag]?.failure == nil else { return }
        let topic = message.pointee.rkt.flatMap { rd_kafka_topic_name($0) }.map { String(cString: $0) } ?? ""
        let error = KafkaError(message.pointee.err, operation: "append to \(topic)")
        let client = intake.client
        if error.code == .unknownTopicOrPartition || error.code == .localUnknownTopic { client?.forgetTopic(topic) }
        let byteCount = message.pointee.len + message.pointee.key_len
        let limit = configuration.maximumRecordSize
        let failure = error.deliveryError(
            topic: topic,
            byteCount: byteCount,
            limit: limit,
            brokers: configuration.brokerList
        )
        if case .unavailable = failure, let client {
            appends[tag]?.failure = client.streamError(error)
        } else {
            appends[tag]?.failure = failure
        }
    }

    private func deliveryError(_ error: KafkaError, record: OutgoingRecord) -> StreamError {
        error.deliveryError(
            topic: record.topic,
            byteCount: RecordSender.byteCount(of: record),
            limit: configuration.maximumRecordSize,
            brokers: configuration.brokerList
        )
    }

    private func settle(_ tag: UInt, _ count: Int) {
        guard count > 0, appends[tag] != nil else { return }
        appends[tag]?.outstanding -= count
        if let append = appends[tag], append.isDone {
            appends[tag] = nil
            finish(append)
        }
    }

    private func finish(_ append: Append) {
        intake.finish(append.tag, with: append.failure.map { .failure($0) } ?? .success(()))
    }

    /// A fatal error ends an idempotent producer: unacknowledged records fail, and the next append opens another.
    private func replace(_ client: KafkaClient, because error: KafkaError) {
        intake.takeClient()
        end(client)
        failAll(.unavailable("Kafka at \(configuration.brokerList): \(error)"))
    }

    private func failAll(_ error: StreamError) {
        takeSubmitted()
        let tags = Array(appends.keys)
        appends.removeAll()
        unsent.removeAll()
        for tag in tags { intake.finish(tag, with: .failure(error)) }
    }
}
