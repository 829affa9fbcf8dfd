import Foundation
import LanguageEngine
import ModelFiles
import ServiceRuntime
import Flows
import UserModels

/// Settings of the LLM responder.
///
/// **Configuration keys**, in addition to those of `MemberConfiguration` (a batch of 32 records, 0 ms)
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `database` (text, `postgresql://localhost/userllm`): the database with the rows.
/// - `bundle` (text, required): the folder of the model bundle.
/// - `waiting-questions` (integer, 10,000): how many questions may wait in memory until their user's row covers enough
///   events; any more are answered `failed` at once.
/// - `waiting-megabytes` (integer, 64): how much memory they may take.
/// - `answer-limit` (duration, 20 s): the time limit for one answer, time beside other answers included.
/// - `running-questions` (integer, 32): how many answers may be in progress.
/// - `cache-megabytes` (integer, 256): the memory for keys and values of the texts in progress, and of what texts have in
///   common; what does not fit waits.
/// - `cache-format` (text, `bfloat16`): how keys and values are kept: `float32`, `bfloat16` or `int8`.
/// - `weights` (text, `stored`): how the language model's weights are kept: as they are in the bundle, or as `int8`,
///   `bfloat16` or `float32`.
/// - `step-tokens` (integer, 512): how many tokens one pass of the model reads at most: a long question delays the answers
///   in progress by no more than that.
/// - `compute-threads` (integer, the number of processors): threads of the model.
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
    private static let runningKey = ConfigurationKey<Int>(
        "running-questions",
        default: 32,
        in: 1...1_024,
        unit: "questions",
        help: "The most answers in progress at once; further questions wait in the log"
    )
    private static let cacheKey = ConfigurationKey<Int>(
        "cache-megabytes",
        default: 256,
        in: 1...1_048_576,
        unit: "MB",
        help: "Memory for keys and values of the texts in progress; what does not fit waits"
    )
    private static let cacheFormatKey = ConfigurationKey<ConfigurationChoice<CacheFormat>>(
        "cache-format",
        default: ConfigurationChoice(.bfloat16),
        help: "How keys and values are kept"
    )
    private static let weightsKey = ConfigurationKey<ConfigurationChoice<WeightFormat>>(
        "weights",
        default: ConfigurationChoice(.stored),
        help: "How the language model's weights are kept: as in the bundle, or in another format made at the start"
    )
    private static let stepKey = ConfigurationKey<Int>(
        "step-tokens",
        default: 512,
        in: 16...8_192,
        unit: "tokens",
        help: "The most tokens that one pass of the model reads, of questions and answers together"
    )
    private static let threadsKey = ConfigurationKey<Int>(
        "compute-threads",
        default: ProcessInfo.processInfo.activeProcessorCount,
        in: 1...256,
        unit: "threads",
        help: "Threads of the language model"
    )
    /// The memory that a model may use for the tokens of one question.
    private static let answerByteCount = 512 << 20
    private static let memberKeys = MemberConfiguration.Keys(
        batchCount: (default: 32, most: 1_000),
        batchHelp: "The most questions that are read at once",
        linger: .zero
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] =
        [
            CommonKeys.log, CommonKeys.database, bundleKey, waitingCountKey, waitingMegabytesKey, answerLimitKey,
            runningKey, cacheKey, cacheFormatKey, weightsKey, stepKey, threadsKey,
        ] + memberKeys.all

    let log: String
    let database: String
    let bundle: String
    let parking: ParkingLimit
    let answerLimits: AnswerLimits
    let model: ModelSettings
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
        model = try ModelSettings(
            runningCount: reader.value(of: Self.runningKey),
            cacheByteCount: reader.value(of: Self.cacheKey) << 20,
            cacheFormat: reader.value(of: Self.cacheFormatKey).choice,
            weightFormat: reader.value(of: Self.weightsKey).choice,
            tokensPerStep: reader.value(of: Self.stepKey),
            threads: reader.value(of: Self.threadsKey)
        )
        answerLimits = AnswerLimits(
            time: try reader.value(of: Self.answerLimitKey),
            byteCount: model.cacheByteCount
        )
        member = try MemberConfiguration(Self.memberKeys, reader: reader)
    }
}

/// How the language model runs.
struct ModelSettings: Sendable {
    /// How many answers may be in progress.
    let runningCount: Int
    /// The memory for keys and values.
    let cacheByteCount: Int
    let cacheFormat: CacheFormat
    let weightFormat: WeightFormat
    let tokensPerStep: Int
    let threads: Int

    /// The engine's settings for a model.
    func engine(for model: LanguageModelConfiguration) -> EngineConfiguration {
        var engine = EngineConfiguration()
        engine.maximumRunning = runningCount
        engine.positionsPerStep = tokensPerStep
        engine.cacheFormat = cacheFormat
        engine.threads = threads
        engine.setPages(within: cacheByteCount, for: model)
        return engine
    }
}
