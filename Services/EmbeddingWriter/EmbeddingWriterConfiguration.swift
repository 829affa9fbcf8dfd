import ServiceRuntime

/// What the embedding writer can be told.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `database` (text, `postgresql://localhost/userllm`): the database with the rows.
/// - `instance` (text, `0`): tells this writer from its siblings.
/// - `batch-records` (integer, 1000): the most embeddings of a batch.
/// - `batch-linger` (duration, 5 ms): how long a batch waits for more embeddings after its first.
/// - `session-timeout` (duration, 10 s): a writer not heard of for this long loses its partitions.
struct EmbeddingWriterConfiguration: Sendable {
    private static let instanceKey = ConfigurationKey<String>(
        "instance",
        default: "0",
        help: "Tells this process from its siblings; must be different for each"
    )
    private static let batchCountKey = ConfigurationKey<Int>(
        "batch-records",
        default: 1_000,
        in: 1...10_000,
        unit: "records",
        help: "The most embeddings that are written together"
    )
    private static let lingerKey = ConfigurationKey<Duration>(
        "batch-linger",
        default: .milliseconds(5),
        in: .zero ... .seconds(5),
        help: "How long a batch waits for more embeddings after its first"
    )
    private static let sessionTimeoutKey = ConfigurationKey<Duration>(
        "session-timeout",
        default: .seconds(10),
        in: .seconds(1) ... .seconds(300),
        help: "A writer that is not heard of for this long loses its partitions"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] = [
        CommonKeys.log, CommonKeys.database, instanceKey, batchCountKey, lingerKey, sessionTimeoutKey,
    ]

    let log: String
    let database: String
    let instance: String
    let batchCount: Int
    let linger: Duration
    let sessionTimeout: Duration

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        database = try reader.value(of: CommonKeys.database)
        instance = try reader.value(of: Self.instanceKey)
        batchCount = try reader.value(of: Self.batchCountKey)
        linger = try reader.value(of: Self.lingerKey)
        sessionTimeout = try reader.value(of: Self.sessionTimeoutKey)
    }
}
