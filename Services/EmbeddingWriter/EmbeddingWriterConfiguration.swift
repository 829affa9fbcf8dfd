import ServiceRuntime
import Flows

/// Settings of the embedding writer.
///
/// **Configuration keys**, in addition to those of `MemberConfiguration` (a batch of 1,000 records, 5 ms)
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `database` (text, `postgresql://localhost/userllm`): the database with the rows.
/// - `bundle` (text): the folder of the model bundle; embeddings of its version must have its shape.
struct EmbeddingWriterConfiguration: CommandConfiguration {
    private static let memberKeys = MemberConfiguration.Keys(
        batchCount: (default: 1_000, most: 10_000),
        batchHelp: "The most embeddings that are written together",
        linger: .milliseconds(5)
    )

    private static let bundleKey = ConfigurationKey<String>(
        "bundle",
        help: "The folder of the model bundle: embeddings of its version must have its shape"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] = [CommonKeys.log, CommonKeys.database, bundleKey] + memberKeys.all

    let log: String
    let database: String
    let bundle: String?
    let member: MemberConfiguration

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        database = try reader.value(of: CommonKeys.database)
        bundle = try reader.optionalValue(of: Self.bundleKey)
        member = try MemberConfiguration(Self.memberKeys, reader: reader)
    }
}
