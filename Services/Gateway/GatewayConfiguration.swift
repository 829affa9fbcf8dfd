import Foundation
import HTTPServer
import ServiceRuntime

/// Settings of the gateway.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `host` (text, `127.0.0.1`), `port` (integer, 8080), `port-file` (text, none): where requests are accepted.
/// - `question-deadline` (duration, 30 s): the deadline of a question that names none.
/// - `maximum-wait` (duration, 60 s): the longest that a request waits for an answer.
/// - `heartbeat` (duration, 5 s): how often an idle stream sends a sign of life.
/// - `cached-answers` (integer, 100,000), `cached-bytes` (integer, 256 MiB): answers kept for later requests.
/// - `maximum-connections` (integer, 4,096): concurrent connections; above this, idle ones are closed.
/// - `maximum-connections-per-address` (integer, three quarters of that): for one client or proxy.
/// - `maximum-waiting` (integer, three quarters of `maximum-connections`): requests that wait for an answer; above
///   this, 503.
/// - `maximum-waiting-per-address` (integer, five eighths of `maximum-connections`): for one client or proxy; above
///   this, 429.
/// - `allowed-hosts` (text, none): further host names the service may be called by, and whose pages may call it.
struct GatewayConfiguration: CommandConfiguration {
    private static let defaultPort = 8_080
    private static let deadlineKey = ConfigurationKey<Duration>(
        "question-deadline",
        default: .seconds(30),
        in: .milliseconds(1) ... .seconds(86_400),
        help: "When a question expires that names no time of its own"
    )
    private static let waitKey = ConfigurationKey<Duration>(
        "maximum-wait",
        default: .seconds(60),
        in: .milliseconds(1) ... .seconds(3_600),
        help: "The longest that a request waits for an answer"
    )
    private static let heartbeatKey = ConfigurationKey<Duration>(
        "heartbeat",
        default: .seconds(5),
        in: .milliseconds(10) ... .seconds(60),
        help: "How often a stream without news shows that it is alive, and finds out whether its reader is"
    )
    private static let cachedAnswersKey = ConfigurationKey<Int>(
        "cached-answers",
        default: 100_000,
        in: 1...10_000_000,
        unit: "answers",
        help: "Answers that are kept to be fetched; the oldest go first"
    )
    private static let cachedBytesKey = ConfigurationKey<Int>(
        "cached-bytes",
        default: 256 << 20,
        in: 1_024...(1 << 36),
        unit: "bytes",
        help: "Memory for answers that are kept"
    )
    private static let connectionsKey = ConfigurationKey<Int>(
        "maximum-connections",
        default: 4_096,
        in: 1...60_000,
        help: "Connections at once; past it those that have sent no request make room, oldest first"
    )
    private static let waitingKey = ConfigurationKey<Int>(
        "maximum-waiting",
        in: 1...60_000,
        help:
            "Requests that wait for an answer at once; past it 503; at most, and by default, three quarters of the connections"
    )
    private static let waitingPerAddressKey = ConfigurationKey<Int>(
        "maximum-waiting-per-address",
        in: 1...60_000,
        help:
            "Requests of one client address that wait at once, a proxy being one; past it 429; at most, and by default, five eighths"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] =
        [
            CommonKeys.log, deadlineKey, waitKey, heartbeatKey, cachedAnswersKey, cachedBytesKey, connectionsKey,
            waitingKey, waitingPerAddressKey,
        ] + HTTPConfiguration.keys(port: defaultPort)

    let log: String
    let http: HTTPConfiguration
    let questionDeadline: Duration
    let maximumWait: Duration
    let heartbeat: Duration
    let cachedAnswerCount: Int
    let cachedByteCount: Int
    /// How many requests may wait at once, in total and per client.
    let waiting: (maximumCount: Int, maximumCountPerClient: Int)
    /// Distinguishes this process from its siblings in the log's records.
    let instance = UUID().uuidString.prefix(8).lowercased()

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        questionDeadline = try reader.value(of: Self.deadlineKey)
        maximumWait = try reader.value(of: Self.waitKey)
        heartbeat = try reader.value(of: Self.heartbeatKey)
        cachedAnswerCount = try reader.value(of: Self.cachedAnswersKey)
        cachedByteCount = try reader.value(of: Self.cachedBytesKey)
        var http = try HTTPConfiguration(reader: reader, defaultPort: Self.defaultPort)
        http.server.maximumBodyByteCount = 1 << 20
        let connections = try reader.value(of: Self.connectionsKey)
        http.server.maximumConnectionCount = connections
        let available = DescriptorLimit.connectionCount(wanted: connections)
        waiting = (
            min(try reader.optionalValue(of: Self.waitingKey) ?? .max, max(1, available * 3 / 4)),
            min(try reader.optionalValue(of: Self.waitingPerAddressKey) ?? .max, max(1, available * 5 / 8))
        )
        // A waiting client can wait at another gateway, so a stop need not last as long as the longest wait.
        http.server.drainDuration = .seconds(2)
        self.http = http
    }
}
