import ServiceRuntime

/// What the encoder worker can be told.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `bundle` (text, required): the folder of the model bundle.
/// - `instance` (text, `0`): tells this worker from its siblings.
/// - `batch-records` (integer, 2048): the most events of a batch.
/// - `batch-linger` (duration, 5 ms): how long a batch waits for more events after its first.
/// - `session-timeout` (duration, 10 s): a worker not heard of for this long loses its partitions.
/// - `compute-threads` (integer, 1): threads for the model.
struct EncoderWorkerConfiguration: Sendable {
    private static let bundleKey = ConfigurationKey<String>("bundle", help: "The folder of the model bundle")
    private static let instanceKey = ConfigurationKey<String>(
        "instance",
        default: "0",
        help: "Tells this process from its siblings; must be different for each"
    )
    private static let batchCountKey = ConfigurationKey<Int>(
        "batch-records",
        default: 2_048,
        in: 1...10_000,
        unit: "records",
        help: "The most events that are taken at once; partitions in them are committed in parts"
    )
    private static let lingerKey = ConfigurationKey<Duration>(
        "batch-linger",
        default: .milliseconds(5),
        in: .zero ... .seconds(5),
        help: "How long a batch waits for more events after its first"
    )
    private static let sessionTimeoutKey = ConfigurationKey<Duration>(
        "session-timeout",
        default: .seconds(10),
        in: .seconds(1) ... .seconds(300),
        help: "A worker that is not heard of for this long loses its partitions"
    )
    private static let threadsKey = ConfigurationKey<Int>(
        "compute-threads",
        default: 1,
        in: 1...256,
        unit: "threads",
        help: "Threads for the model's matrix products"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] = [
        CommonKeys.log, bundleKey, instanceKey, batchCountKey, lingerKey, sessionTimeoutKey, threadsKey,
    ]

    let log: String
    let bundle: String
    let instance: String
    let batchCount: Int
    let linger: Duration
    let sessionTimeout: Duration
    let threads: Int

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        bundle = try reader.value(of: Self.bundleKey)
        instance = try reader.value(of: Self.instanceKey)
        batchCount = try reader.value(of: Self.batchCountKey)
        linger = try reader.value(of: Self.lingerKey)
        sessionTimeout = try reader.value(of: Self.sessionTimeoutKey)
        threads = try reader.value(of: Self.threadsKey)
    }
}
