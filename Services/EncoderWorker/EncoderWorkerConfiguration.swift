import ServiceRuntime
import Flows

/// Settings of the encoder worker.
///
/// **Configuration keys**, in addition to those of `MemberConfiguration` (a batch of 2,048 records, 5 ms)
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `bundle` (text, required): the folder of the model bundle.
/// - `compute-threads` (integer, 1): threads for the model.
struct EncoderWorkerConfiguration: CommandConfiguration {
    private static let bundleKey = ConfigurationKey<String>("bundle", help: "The folder of the model bundle")
    private static let memberKeys = MemberConfiguration.Keys(
        batchCount: (default: 2_048, most: 10_000),
        batchHelp: "The most events that are taken at once; partitions in them are committed in parts",
        linger: .milliseconds(5)
    )
    private static let threadsKey = ConfigurationKey<Int>(
        "compute-threads",
        default: 1,
        in: 1...256,
        unit: "threads",
        help: "Threads for the model's matrix products"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] = [CommonKeys.log, bundleKey] + memberKeys.all + [threadsKey]

    let log: String
    let bundle: String
    let member: MemberConfiguration
    let threads: Int

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        bundle = try reader.value(of: Self.bundleKey)
        member = try MemberConfiguration(Self.memberKeys, reader: reader)
        threads = try reader.value(of: Self.threadsKey)
    }
}
