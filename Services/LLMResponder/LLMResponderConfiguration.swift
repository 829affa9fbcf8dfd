import ServiceRuntime
import Flows
import UserModels

/// Settings of the LLM responder.
///
/// **Configuration keys**, in addition to those of `MemberConfiguration` (a batch of 4 records, 0 ms)
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `database` (text, `postgresql://localhost/userllm`): the database with the rows.
/// - `bundle` (text, required): the folder of the model bundle.
/// - `waiting-questions` (integer, 10,000): how many questions may wait in memory until their user's row covers enough
///   events; any more are answered `failed` at once.
/// - `waiting-megabytes` (integer, 64): how much memory they may take.
/// - `answer-limit` (duration, 20 s): the time limit for one answer; over Kafka well below `max.poll.interval.ms`.
struct LLMResponderConfiguration: CommandConfiguration {
    private static let bundleKey = ConfigurationKey<String>("bundle", help: "The folder of the model bundle")
    private static let waitingCountKey = ConfigurationKey<Int>(
        "waiting-questions",
        default: 10_000,
        in: 1...100_000,
        unit: "questions",
        help: "The most questions that wait for their user's events; one more fails at once"
    )
    private static let waitingMegabytesKey = ConfigurationKey<Int>(
        "waiting-megabytes",
        default: 64,
        in: 1...4_096,
        unit: "MB",
        help: "The most memory that questions that wait may take"
    )
    private static let answerLimitKey = ConfigurationKey<Duration>(
        "answer-limit",
        default: .seconds(20),
        in: .seconds(1) ... .seconds(3_600),
        help: "The longest that one answer may be computed; one that takes longer fails"
    )
    /// The memory that a model may use for the tokens of one question.
    private static let answerByteCount = 512 << 20
    private static let memberKeys = MemberConfiguration.Keys(
        batchCount: (default: 4, most: 1_000),
        batchHelp: "The most questions that are answered in one commit",
        linger: .zero
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] =
        [CommonKeys.log, CommonKeys.database, bundleKey, waitingCountKey, waitingMegabytesKey, answerLimitKey]
        + memberKeys.all

    let log: String
    let database: String
    let bundle: String
    let parking: ParkingLimit
    let answerLimits: AnswerLimits
    let member: MemberConfiguration

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        database = try reader.value(of: CommonKeys.database)
        bundle = try reader.value(of: Self.bundleKey)
        parking = ParkingLimit(
            count: try reader.value(of: Self.waitingCountKey),
            byteCount: try reader.value(of: Self.waitingMegabytesKey) << 20
        )
        answerLimits = AnswerLimits(
            time: try reader.value(of: Self.answerLimitKey),
            byteCount: Self.answerByteCount
        )
        member = try MemberConfiguration(Self.memberKeys, reader: reader)
    }
}
