internal import MessageLogs

extension KafkaConfiguration {
    /// The role of a client instance; each has its own settings of librdkafka.
    enum Role {
        /// Appends records outside transactions.
        case appender
        /// Commits offsets and outputs together.
        case transactional(id: String, timeout: Duration)
        /// Reads as a member of a group, or alone when `isMember` is false.
        case subscriber(group: String, isMember: Bool, sessionTimeout: Duration)
        /// Reads given ranges of partitions.
        case reader
        /// Queries topics, offsets and groups; sees the true end of partitions.
        case administrator
        /// Queries a group's offsets and the end of partitions, whatever transaction is open.
        case uncommittedReader(group: String)

        var isProducer: Bool {
            switch self {
            case .appender, .transactional: true
            case .subscriber, .reader, .administrator, .uncommittedReader: false
            }
        }

        /// Whether it is a member of a group.
        var isMember: Bool {
            if case .subscriber(_, isMember: true, _) = self { true } else { false }
        }

        /// Whether no thread polls the instance's events all the time.
        var isUnattended: Bool {
            switch self {
            case .transactional, .administrator, .uncommittedReader: true
            case .appender, .subscriber, .reader: false
            }
        }
    }

    /// The settings of librdkafka for a role.
    func properties(for role: Role, clientName: String) -> [String: String] {
        var properties = common(clientName: clientName)
        switch role {
        case .appender:
            properties.merge(producing(timeout: deliveryTimeout)) { $1 }
            properties["linger.ms"] = "2"
            properties["retry.backoff.ms"] = "20"
        case .transactional(let id, let timeout):
            properties.merge(producing(timeout: timeout)) { $1 }
            properties["transactional.id"] = id
            properties["transaction.timeout.ms"] = "\(timeout.milliseconds)"
            // librdkafka 2.0.2 refuses a socket timeout above the transaction's.
            properties["socket.timeout.ms"] = "\(min(60_000, timeout.milliseconds))"
            // Records wait for their partitions to be added to the transaction, and gather meanwhile.
            properties["linger.ms"] = "1"
            // With the default of 100 each transaction that follows another at once waits 100 ms for its turn.
            properties["retry.backoff.ms"] = "5"
        case .subscriber(let group, let isMember, let sessionTimeout):
            properties.merge(consuming(group: group)) { $1 }
            properties["isolation.level"] = "read_committed"
            if isMember {
                properties["partition.assignment.strategy"] = assignmentStrategy.rawValue
                properties["session.timeout.ms"] = "\(sessionTimeout.milliseconds)"
                // Members learn of a rebalance with a heartbeat, so moving partitions are idle for up to that long.
                properties["heartbeat.interval.ms"] = "\(max(100, min(500, sessionTimeout.milliseconds / 4)))"
                // A flow that computes or waits for its database does not poll; heartbeats continue on librdkafka's own
                // thread. This is also how long a rebalance waits for dead members whose sessions the broker does not
                // end: Kafka 4.3.1 sets no session timers when a partition of its offsets gets a new leader while it is
                // still being loaded, as when a broker restarts twice in quick succession.
                properties["max.poll.interval.ms"] = "\(max(60_000, sessionTimeout.milliseconds))"
            }
        case .reader:
            properties.merge(consuming(group: clientName)) { $1 }
            properties["isolation.level"] = "read_committed"
            properties["enable.partition.eof"] = "true"
            // A full queue also triggers this back-off: with small queues a restore waits most of its time.
            properties["fetch.error.backoff.ms"] = "5"
            properties["queued.max.messages.kbytes"] = "65536"
            properties["queued.min.messages"] = "100000"
        case .administrator:
            properties["isolation.level"] = "read_uncommitted"
        case .uncommittedReader(let group):
            properties.merge(consuming(group: group)) { $1 }
            properties["isolation.level"] = "read_uncommitted"
        }
        // Clients that are not members have librdkafka's session timeout, and it must not be the longer one.
        let further = role.isMember ? additional : additional.filter { $0.key != "max.poll.interval.ms" }
        return properties.merging(further) { $1 }
    }

    private func common(clientName: String) -> [String: String] {
        [
            "bootstrap.servers": brokerList,
            "client.id": clientName,
            "allow.auto.create.topics": "false",
            "reconnect.backoff.ms": "50",
            "reconnect.backoff.max.ms": "1000",
            "socket.keepalive.enable": "true",
            "socket.nagle.disable": "true",
            "topic.metadata.refresh.interval.ms": "30000",
        ]
    }

    private func producing(timeout: Duration) -> [String: String] {
        [
            "acks": "all",
            "batch.size": "262144",
            "compression.codec": "lz4",
            "enable.idempotence": "true",
            // More may lose records or write them twice, for the reasons that `ProducerPool` gives.
            "max.in.flight.requests.per.connection": "1",
            "message.max.bytes": "1048576",
            "message.timeout.ms": "\(timeout.milliseconds)",
            // As Java's producers do, so that every producer of a topic puts a key into the same partition.
            "partitioner": "murmur2_random",
            "queue.buffering.max.kbytes": "65536",
            "queue.buffering.max.messages": "100000",
            "topic.metadata.propagation.max.ms": "5000",
        ]
    }

    private func consuming(group: String) -> [String: String] {
        [
            "auto.offset.reset": "error",
            "check.crcs": "true",
            "enable.auto.commit": "false",
            "enable.auto.offset.store": "false",
            "fetch.error.backoff.ms": "50",
            "fetch.wait.max.ms": "50",
            "group.id": group,
            "queued.max.messages.kbytes": "32768",
            "queued.min.messages": "20000",
        ]
    }
}

extension Duration {
    /// Whole milliseconds, at most what C's `int` holds.
    var milliseconds: Int32 { Int32(clamping: wholeMilliseconds) }

    /// Whole milliseconds, at most some hundred million years.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let limit = Int64.max / 2_000
        return min(limit, max(-limit, seconds)) * 1_000 + attoseconds / 1_000_000_000_000_000
    }
}
