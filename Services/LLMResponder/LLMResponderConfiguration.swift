import ServiceRuntime
import StreamProcessing

/// What the LLM responder can be told.
///
/// **Configuration keys**, beside those of `MemberConfiguration` (a batch of 4 records, 0 ms)
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `database` (text, `postgresql://localhost/userllm`): the database with the rows.
/// - `bundle` (text, required): the folder of the model bundle.
struct LLMResponderConfiguration: Sendable {
    private static let bundleKey = ConfigurationKey<String>("bundle", help: "The folder of the model bundle")
    private static let memberKeys = MemberConfiguration.Keys(
        batchCount: (default: 4, most: 1_000),
        batchHelp: "The most questions that are answered in one commit",
        linger: .zero
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] = [CommonKeys.log, CommonKeys.database, bundleKey] + memberKeys.all

    let log: String
    let database: String
    let bundle: String
    let member: MemberConfiguration

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        database = try reader.value(of: CommonKeys.database)
        bundle = try reader.value(of: Self.bundleKey)
        member = try MemberConfiguration(Self.memberKeys, reader: reader)
    }
}
