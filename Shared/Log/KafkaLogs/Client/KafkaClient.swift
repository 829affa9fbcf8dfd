internal import CRdkafka
internal import Glibc
internal import Bytes
internal import MessageLogs
internal import Synchronization

/// Owner of one librdkafka instance, the queue its events come on, and its topics.
///
/// No callback is registered: events are polled from the queue by the actor that owns the client, on that actor's own
/// thread.
///
/// `@unchecked Sendable`: librdkafka is "completely thread-safe" (its manual, "Threads and callbacks"), an instance
/// may be used from any thread; the only state here is behind locks.
final class KafkaClient: @unchecked Sendable {
    /// The instance.
    let handle: OpaquePointer
    /// All its events: of a consumer with a group its consumer queue, else its main queue.
    let queue: OpaquePointer
    /// How it was configured.
    let configuration: KafkaConfiguration

    /// Nobody polls this instance's events all the time, so they are read when an error is to be explained.
    private let isUnattended: Bool
    private let isEnded = Mutex(false)
    private let topics = Mutex<[String: KafkaTopic]>([:])
    private let errors = Mutex<KafkaError?>(nil)
    private let hasLostConnection = Atomic<Bool>(false)

    /// Makes an instance; connections are opened in the background.
    init(_ configuration: KafkaConfiguration, role: KafkaConfiguration.Role, name: String) throws(StreamError) {
        self.configuration = configuration
        let properties = configuration.properties(for: role, clientName: name)
        let conf = try Self.conf(properties)
        let events = RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_FETCH
        switch role {
        // Without delivery events, flushing a transaction needs no other poller; its errors come from its calls.
        case .transactional: rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR)
        case .appender: rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_DR)
        case .subscriber, .reader, .administrator, .uncommittedReader: rd_kafka_conf_set_events(conf, events)
        }
        // librdkafka would write to standard error; what matters comes as error events.
        if properties["debug"] == nil { rd_kafka_conf_set_log_cb(conf, nil) }
        let text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 512)
        defer { text.deallocate() }
        let type = role.isProducer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER
        guard let handle = rd_kafka_new(type, conf, text.baseAddress, text.count) else {
            rd_kafka_conf_destroy(conf)
            let reason = text.baseAddress.map { String(cString: $0) } ?? ""
            throw .configuration("Kafka client for \(configuration.brokerList): \(configuration.redacted(reason))")
        }
        self.handle = handle
        isUnattended = role.isUnattended
        if !role.isProducer, properties["group.id"] != nil, let queue = rd_kafka_queue_get_consumer(handle) {
            rd_kafka_poll_set_consumer(handle)
            self.queue = queue
        } else {
            queue = rd_kafka_queue_get_main(handle)
        }
    }

    deinit {
        end()
    }

    /// Whether the instance was ended.
    var hasEnded: Bool { isEnded.withLock { $0 } }

    /// Ends the instance and its threads on the calling thread, which may block; only `wake` may follow.
    ///
    /// With `isHanging`, an instance whose end would block is abandoned until the process ends.
    func end(isHanging: Bool = false) {
        let isFirst = isEnded.withLock { isEnded in
            defer { isEnded = true }
            return !isEnded
        }
        guard isFirst, !isHanging else { return }
        topics.withLock { $0.removeAll() }
        rd_kafka_queue_destroy(queue)
        rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
    }

    private static func conf(_ properties: [String: String]) throws(StreamError) -> OpaquePointer {
        guard let conf = rd_kafka_conf_new() else { throw .fatal("librdkafka could not make a configuration") }
        let text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 512)
        defer { text.deallocate() }
        for (key, value) in properties.sorted(by: { $0.key < $1.key }) {
            let result = rd_kafka_conf_set(conf, key, value, text.baseAddress, text.count)
            guard result == RD_KAFKA_CONF_OK else {
                rd_kafka_conf_destroy(conf)
                var reason = text.baseAddress.map { String(cString: $0) } ?? ""
                if result == RD_KAFKA_CONF_INVALID, Redaction.value(value, of: key) == Redaction.mark {
                    reason = "the value of \(key) (\(Redaction.mark)) is not accepted"
                }
                throw .configuration("Kafka setting \(key): \(reason)")
            }
        }
        return conf
    }

    // MARK: - Events

    /// Waits for one event and lends it to `body`; nil when none came in time.
    func poll<Value>(_ milliseconds: Int32, _ body: (OpaquePointer) -> Value) -> Value? {
        guard let event = rd_kafka_queue_poll(queue, milliseconds) else { return nil }
        defer { rd_kafka_event_destroy(event) }
        return body(event)
    }

    /// Wakes a thread that waits in `poll`; does nothing once the instance is ended.
    func wake() {
        isEnded.withLock { isEnded in
            if !isEnded { rd_kafka_queue_yield(queue) }
        }
    }

    /// Records an error event, and returns it as an error.
    @discardableResult
    func note(_ event: OpaquePointer, operation: String) -> KafkaError {
        let error = KafkaError(
            rd_kafka_event_error(event),
            message: rd_kafka_event_error_string(event).map { String(cString: $0) },
            isFatal: rd_kafka_event_error_is_fatal(event) != 0,
            operation: operation
        )
        if [.transport, .allBrokersDown].contains(error.code) {
            hasLostConnection.store(true, ordering: .releasing)
        }
        if error.code != .allBrokersDown {
            errors.withLock { $0 = error }
        }
        return error
    }

    /// Records pending error events of an instance that nobody polls.
    func noteErrors() {
        while poll(0, { self.note($0, operation: "connection") }) != nil {}
    }

    /// The last error of a connection, which tells why something timed out.
    var lastError: KafkaError? { errors.withLock { $0 } }

    /// Whether a connection was lost since the last call, according to the events recorded so far.
    func takeConnectionLoss() -> Bool { hasLostConnection.exchange(false, ordering: .acquiringAndReleasing) }

    /// The error that made the instance useless, if any.
    var fatalError: KafkaError? {
        let text = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 512)
        defer { text.deallocate() }
        let code = rd_kafka_fatal_error(handle, text.baseAddress, text.count)
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        return KafkaError(
            code,
            message: text.baseAddress.map { String(cString: $0) },
            isFatal: true,
            operation: "client"
        )
    }

    /// The error for the log's user, with the connection's error where this one is only a timeout.
    func streamError(_ error: KafkaError) -> StreamError {
        var error = error
        if isUnattended { noteErrors() }
        if [.timedOut, .messageTimedOut, .transport, .timedOutInQueue].contains(error.code), let cause = lastError {
            if KafkaError.Code.configurationFaults.contains(cause.code) {
                return cause.streamError(brokers: configuration.brokerList)
            }
            error.message += "; " + cause.message
        }
        return error.streamError(brokers: configuration.brokerList)
    }

    // MARK: - Topics

    /// A topic that is known to exist.
    ///
    /// Asks the broker the first time. Blocks for up to the connect timeout.
    func topic(_ name: String) throws(StreamError) -> KafkaTopic {
        if let known = topics.withLock({ $0[name] }) { return known }
        guard let pointer = rd_kafka_topic_new(handle, name, nil) else {
            throw .unknownTopic(name)
        }
        let topic = KafkaTopic(taking: pointer, name: name)
        _ = try requiredPartitionCount(of: topic)
        return topics.withLock { topics in
            topics[name] = topic
            return topic
        }
    }

    /// Forgets a topic, so that the broker is asked again.
    func forgetTopic(_ name: String) {
        topics.withLock { _ = $0.removeValue(forKey: name) }
    }

    /// The current number of a topic's partitions according to the broker; nil when there is no such topic.
    ///
    /// Blocks for up to the connect timeout.
    func partitionCount(of name: String) throws(StreamError) -> Int32? {
        guard let pointer = rd_kafka_topic_new(handle, name, nil) else { return nil }
        return try partitionCount(of: KafkaTopic(taking: pointer, name: name))
    }

    /// The number of partitions of a topic that has to exist.
    func requiredPartitionCount(of name: String) throws(StreamError) -> Int32 {
        guard let pointer = rd_kafka_topic_new(handle, name, nil) else { throw .unknownTopic(name) }
        return try requiredPartitionCount(of: KafkaTopic(taking: pointer, name: name))
    }

    // A broker that its controller had given up, and takes back, denies its topics for a moment. An operator who is told
    // to create a topic that exists is misled, so it is asked again for a while.
    private func requiredPartitionCount(of topic: KafkaTopic) throws(StreamError) -> Int32 {
        let deadline = ContinuousClock.now + .seconds(2)
        while true {
            if let count = try partitionCount(of: topic) { return count }
            guard ContinuousClock.now < deadline else { throw .unknownTopic(topic.name) }
            Self.pause(milliseconds: 100)
        }
    }

    private func partitionCount(of topic: KafkaTopic) throws(StreamError) -> Int32? {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        while true {
            var metadata: UnsafePointer<rd_kafka_metadata>?
            let remaining = max(1, (deadline - ContinuousClock.now).milliseconds)
            let code = rd_kafka_metadata(handle, 0, topic.pointer, &metadata, remaining)
            defer { metadata.map { rd_kafka_metadata_destroy($0) } }
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata, metadata.pointee.topic_cnt == 1 else {
                throw streamError(KafkaError(code, operation: "metadata of \(topic.name)"))
            }
            let found = metadata.pointee.topics[0]
            switch KafkaError.Code(found.err) {
            case .noError: return found.partition_cnt
            case .unknownTopicOrPartition, .localUnknownTopic: return nil
            case let code where KafkaError.Code.configurationFaults.contains(code):
                throw streamError(KafkaError(found.err, operation: "metadata of \(topic.name)"))
            default:
                // A topic that was created a moment ago has no leader yet.
                guard ContinuousClock.now < deadline else {
                    throw streamError(KafkaError(found.err, operation: "metadata of \(topic.name)"))
                }
                Self.pause(milliseconds: 20)
            }
        }
    }

    /// The time as records have it, in milliseconds since 1970.
    static var milliseconds: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    /// Waits on a thread that may block.
    static func pause(milliseconds: UInt32) {
        usleep(milliseconds * 1_000)
    }
}
