public import Messages
public import ServiceRuntime
public import MessageLogs

/// How a service shares topics' partitions with its sibling processes.
///
/// **Configuration keys**
/// - `instance` (text, `0`): tells this process from its siblings.
/// - `batch-records` (integer): the most records of a batch.
/// - `batch-linger` (duration): how long a batch waits for more records after its first.
/// - `session-timeout` (duration, 10 s): a process that is silent for this long loses its partitions.
/// - `rejected-share` (share or `off`, 0.01): a process that rejects more of a minute's records than this stops.
/// - `rejected-minimum` (integer, 20): this many rejected records within a minute are always tolerated.
public struct MemberConfiguration: Sendable {
    /// The keys, with a service's own defaults.
    public struct Keys: Sendable {
        fileprivate let instance = ConfigurationKey<String>(
            "instance",
            default: "0",
            help: "Tells this process from its siblings; must be different for each"
        )
        fileprivate let batchCount: ConfigurationKey<Int>
        fileprivate let linger: ConfigurationKey<Duration>
        fileprivate let sessionTimeout = ConfigurationKey<Duration>(
            "session-timeout",
            default: .seconds(10),
            in: .seconds(1) ... .seconds(300),
            help: "A process that is not heard of for this long loses its partitions"
        )
        fileprivate let rejectedShare = ConfigurationKey<RejectedShare>(
            "rejected-share",
            default: .upTo(0.01),
            help: "A process that rejects more of a minute's records than this commits them and stops"
        )
        fileprivate let rejectedMinimum = ConfigurationKey<Int>(
            "rejected-minimum",
            default: 20,
            in: 0...1_000_000_000,
            unit: "records",
            help: "As many rejected records within a minute are always borne"
        )

        /// Makes keys.
        ///
        /// - Parameters:
        ///   - batchCount: by default, and at most.
        ///   - batchHelp: why records are processed in batches.
        ///   - linger: by default.
        public init(batchCount: (default: Int, most: Int), batchHelp: String, linger: Duration) {
            self.batchCount = ConfigurationKey(
                "batch-records",
                default: batchCount.default,
                in: 1...batchCount.most,
                unit: "records",
                help: batchHelp
            )
            self.linger = ConfigurationKey(
                "batch-linger",
                default: linger,
                in: .zero ... .seconds(5),
                help: "How long a batch waits for more records after its first"
            )
        }

        /// As a command lists them.
        public var all: [any AnyConfigurationKey] {
            [instance, batchCount, linger, sessionTimeout, rejectedShare, rejectedMinimum]
        }
    }

    private let instance: String
    private let batchCount: Int
    private let linger: Duration
    private let sessionTimeout: Duration
    /// When a process that rejects records stops.
    public let rejectionRate: RejectionRate

    /// Reads the keys.
    public init(_ keys: Keys, reader: ConfigurationReader) throws(ConfigurationError) {
        instance = try reader.value(of: keys.instance)
        batchCount = try reader.value(of: keys.batchCount)
        linger = try reader.value(of: keys.linger)
        sessionTimeout = try reader.value(of: keys.sessionTimeout)
        rejectionRate = RejectionRate(
            share: try reader.value(of: keys.rejectedShare),
            minimumCount: try reader.value(of: keys.rejectedMinimum)
        )
    }

    /// The subscription of a member of a group to a topic; the group has the service's name.
    public func subscription(
        of group: String,
        to topic: Topic,
        keepsOwnOffsets: Bool = false
    ) -> SubscriptionOptions {
        SubscriptionOptions(
            topics: [topic.rawValue],
            membership: keepsOwnOffsets ? .groupWithOwnOffsets(group) : .group(group),
            maximumBatchCount: batchCount,
            linger: linger,
            memberName: "\(group)-\(instance)",
            sessionTimeout: sessionTimeout
        )
    }
}
