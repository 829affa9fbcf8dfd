import HTTPServer
import ServiceRuntime

/// Settings of the event ingestor.
///
/// **Configuration keys**
/// - `log` (text, `postgresql://localhost/userllm`): the message log.
/// - `host` (text, `127.0.0.1`), `port` (integer, 8180), `port-file` (text, none): where requests are accepted.
/// - `maximum-body-bytes` (integer, 16 MiB): the largest request.
/// - `maximum-event-bytes` (integer, 128 KiB): the largest event.
/// - `maximum-waiting-bytes` (integer, 64 MiB): events that wait for the log; above this, 429.
/// - `maximum-buffered-bytes` (integer, 256 MiB): requests not yet answered; above this, 503.
/// - `maximum-connections` (integer, 2,048): concurrent connections; above this, idle ones are closed.
/// - `maximum-connections-per-address` (integer, three quarters of that): for one client or proxy.
/// - `allowed-hosts` (text, none): further host names the service may be called by, and whose pages may call it.
/// - `strict` (flag, false): events with unknown fields are refused; otherwise they are accepted and the fields
///   reported.
struct EventIngestorConfiguration: CommandConfiguration {
    private static let defaultPort = 8_180
    private static let bodyKey = ConfigurationKey<Int>(
        "maximum-body-bytes",
        default: 16 << 20,
        in: 1_024...(1 << 30),
        unit: "bytes",
        help: "The largest request; larger ones are answered with 413"
    )
    private static let eventKey = ConfigurationKey<Int>(
        "maximum-event-bytes",
        default: 128 << 10,
        in: 256...(1 << 20),
        unit: "bytes",
        help: "The largest event; larger ones are refused, the others of the request taken"
    )
    private static let waitingKey = ConfigurationKey<Int>(
        "maximum-waiting-bytes",
        default: 64 << 20,
        in: 1_024...(1 << 34),
        unit: "bytes",
        help: "Events that may wait for the log; past it requests are answered with 429"
    )
    private static let bufferedKey = ConfigurationKey<Int>(
        "maximum-buffered-bytes",
        default: 256 << 20,
        in: 1_024...(1 << 34),
        unit: "bytes",
        help: "Bodies of requests held at once; past it requests are answered with 503"
    )
    private static let connectionsKey = ConfigurationKey<Int>(
        "maximum-connections",
        default: 2_048,
        in: 1...60_000,
        help: "Connections at once; past it those that have sent no request make room, oldest first"
    )
    private static let strictKey = ConfigurationKey<Bool>(
        "strict",
        default: false,
        help: "Refuses events with fields that are not known, instead of naming these in the reply"
    )

    /// Every key of the process.
    static let keys: [any AnyConfigurationKey] =
        [CommonKeys.log, bodyKey, eventKey, waitingKey, bufferedKey, connectionsKey, strictKey]
        + HTTPConfiguration.keys(port: defaultPort)

    let log: String
    let http: HTTPConfiguration
    let maximumEventByteCount: Int
    let maximumWaitingByteCount: Int
    let isStrict: Bool

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        log = try reader.value(of: CommonKeys.log)
        maximumEventByteCount = try reader.value(of: Self.eventKey)
        maximumWaitingByteCount = try reader.value(of: Self.waitingKey)
        isStrict = try reader.value(of: Self.strictKey)
        var http = try HTTPConfiguration(reader: reader, defaultPort: Self.defaultPort)
        http.server.maximumBodyByteCount = try reader.value(of: Self.bodyKey)
        http.server.maximumBufferedByteCount = try reader.value(of: Self.bufferedKey)
        http.server.maximumConnectionCount = try reader.value(of: Self.connectionsKey)
        self.http = http
        guard maximumEventByteCount <= http.server.maximumBodyByteCount else {
            throw .conflict("maximum-event-bytes is larger than maximum-body-bytes: no such event could come in")
        }
    }
}
