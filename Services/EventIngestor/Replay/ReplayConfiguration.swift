import Messages
import ServiceRuntime

/// Settings of `event-ingestor replay-rejected`.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `topic` (text, `user-events`): the topic whose rejected records are resent to it.
/// - `dry-run` (flag, false): only counts what would be sent, by reason.
struct ReplayConfiguration: CommandConfiguration {
    private static let topicKey = ConfigurationKey<String>(
        "topic",
        default: Topic.userEvents.rawValue,
        help: "The topic whose rejected records are sent to it again",
        expectation: Topic.allCases.map(\.rawValue).joined(separator: ", ")
    ) { Topic(rawValue: $0) != nil }
    private static let dryRunKey = ConfigurationKey<Bool>(
        "dry-run",
        default: false,
        help: "Only counts what would be sent, by reason"
    )

    /// Every key of the command.
    static let keys: [any AnyConfigurationKey] = [CommonKeys.log, topicKey, dryRunKey]

    let log: String
    let topic: String
    let isDryRun: Bool

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        topic = try reader.value(of: Self.topicKey)
        isDryRun = try reader.value(of: Self.dryRunKey)
    }
}
