import ServiceRuntime

/// What the LLM responder can be told.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `database` (text, `postgresql://localhost/userllm`): the database with the rows.
/// - `bundle` (text, required): the folder of the model bundle.
/// - `instance` (text, `0`): tells this responder from its siblings.
/// - `batch-records` (integer, 4): the most questions answered in one commit.
/// - `session-timeout` (duration, 10 s): a responder not heard of for this long loses its partitions.
struct LLMResponderConfiguration: Sendable {
    private static let bundleKey = ConfigurationKey<String>("bundle", help: "The folder of the model bundle")
    private static let instanceKey = ConfigurationKey<String>(
        "instance",
        default: "0",
        help: "Tells this process from its siblings; must be different for each"
    )
    private static let batchCountKey = ConfigurationKey<Int>(
        "batch-records",
        default: 4,
        in: 1...1_000,
        unit: "records",
        help: "The most questions that are answered in one commit"
    )
    private static let sessionTimeoutKey = ConfigurationKey<Duration>(
        "session-timeout",
        default: .seconds(10),
        in: .seconds(1) ... .seconds(300),
        help: "A responder that is not heard of for this long loses its partitions"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] = [
        CommonKeys.log, CommonKeys.database, bundleKey, instanceKey, batchCountKey, sessionTimeoutKey,
    ]

    let log: String
    let database: String
    let bundle: String
    let instance: String
    let batchCount: Int
    let sessionTimeout: Duration

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        database = try reader.value(of: CommonKeys.database)
        bundle = try reader.value(of: Self.bundleKey)
        instance = try reader.value(of: Self.instanceKey)
        batchCount = try reader.value(of: Self.batchCountKey)
        sessionTimeout = try reader.value(of: Self.sessionTimeoutKey)
    }
}
