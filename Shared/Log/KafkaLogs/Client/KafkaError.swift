internal import CRdkafka

/// An error of librdkafka: which operation failed, why, and what may be done about it.
public struct KafkaError: Error, Sendable, Equatable, CustomStringConvertible {
    /// A librdkafka error code: negative ones are the client's own, positive ones come from a broker.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The number in `rd_kafka_resp_err_t`.
        public let rawValue: Int32

        /// Names a code by its number.
        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        /// librdkafka's name of the code, as in `_MSG_TIMED_OUT`.
        public var description: String {
            String(cString: rd_kafka_err2name(rd_kafka_resp_err_t(rawValue)))
        }

        init(_ code: rd_kafka_resp_err_t) {
            rawValue = code.rawValue
        }
    }

    /// The code.
    public var code: Code
    /// librdkafka's text, or ours where it has none; without secrets.
    public var message: String
    /// The same call may be made again.
    public var isRetriable: Bool
    /// The client instance must be replaced.
    public var isFatal: Bool
    /// The open transaction must be aborted.
    public var requiresAbort: Bool
    /// What was tried, and on what.
    public var operation: String

    /// What failed, why, and the code's name.
    public var description: String { "\(operation): \(message) (\(code))" }

    init(
        _ code: rd_kafka_resp_err_t,
        message: String? = nil,
        isRetriable: Bool = false,
        isFatal: Bool = false,
        requiresAbort: Bool = false,
        operation: String
    ) {
        self.code = Code(code)
        self.message = message ?? String(cString: rd_kafka_err2str(code))
        self.isRetriable = isRetriable
        self.isFatal = isFatal
        self.requiresAbort = requiresAbort
        self.operation = operation
    }

    /// Whether a topic was refused because no broker has been heard of by the controller lately.
    ///
    /// Such brokers are "fenced" until their next heartbeat. The controller gives them the code of a replication factor that
    /// is too high, and tells them apart in the text alone.
    var saysThatBrokersAreFenced: Bool {
        code == Code(RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR) && message.contains("are currently fenced")
    }

    /// Takes over an error object of librdkafka; nil stands for success.
    init?(taking error: OpaquePointer?, operation: String) {
        guard let error else { return nil }
        defer { rd_kafka_error_destroy(error) }
        self.init(
            rd_kafka_error_code(error),
            message: String(cString: rd_kafka_error_string(error)),
            isRetriable: rd_kafka_error_is_retriable(error) != 0,
            isFatal: rd_kafka_error_is_fatal(error) != 0,
            requiresAbort: rd_kafka_error_txn_requires_abort(error) != 0,
            operation: operation
        )
    }
}

extension KafkaError.Code {
    static let noError = Self(RD_KAFKA_RESP_ERR_NO_ERROR)
    static let timedOut = Self(RD_KAFKA_RESP_ERR__TIMED_OUT)
    static let timedOutInQueue = Self(RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE)
    static let messageTimedOut = Self(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
    static let transport = Self(RD_KAFKA_RESP_ERR__TRANSPORT)
    static let resolve = Self(RD_KAFKA_RESP_ERR__RESOLVE)
    static let allBrokersDown = Self(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
    static let queueFull = Self(RD_KAFKA_RESP_ERR__QUEUE_FULL)
    static let purgedInQueue = Self(RD_KAFKA_RESP_ERR__PURGE_QUEUE)
    static let purgedInFlight = Self(RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
    static let partitionEnd = Self(RD_KAFKA_RESP_ERR__PARTITION_EOF)
    static let fatal = Self(RD_KAFKA_RESP_ERR__FATAL)
    static let fenced = Self(RD_KAFKA_RESP_ERR__FENCED)
    static let autoOffsetReset = Self(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
    static let unknownPartition = Self(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
    static let localUnknownTopic = Self(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
    static let unknownTopicOrPartition = Self(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    static let messageTooLarge = Self(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
    static let recordListTooLarge = Self(RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
    static let offsetOutOfRange = Self(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
    static let topicAlreadyExists = Self(RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    static let notLeader = Self(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)
    static let leaderNotAvailable = Self(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
    static let illegalGeneration = Self(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION)
    static let unknownMember = Self(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID)
    static let fencedInstance = Self(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
    static let rebalanceInProgress = Self(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)
    static let topicAuthorizationFailed = Self(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
    static let clusterAuthorizationFailed = Self(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
    static let invalidProducerEpoch = Self(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH)
    static let producerFenced = Self(RD_KAFKA_RESP_ERR_PRODUCER_FENCED)

    /// Settings that will not become right by themselves: credentials, permissions, group settings.
    static let configurationFaults: Set<Self> = [
        Self(RD_KAFKA_RESP_ERR__AUTHENTICATION), Self(RD_KAFKA_RESP_ERR__SSL),
        Self(RD_KAFKA_RESP_ERR__INVALID_ARG), Self(RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE),
        Self(RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED), .topicAuthorizationFailed,
        Self(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED), .clusterAuthorizationFailed,
        Self(RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        Self(RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT), Self(RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL),
        Self(RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT), Self(RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR),
        Self(RD_KAFKA_RESP_ERR_INVALID_CONFIG), Self(RD_KAFKA_RESP_ERR_POLICY_VIOLATION),
        Self(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION), Self(RD_KAFKA_RESP_ERR_INVALID_PARTITIONS),
    ]
}
