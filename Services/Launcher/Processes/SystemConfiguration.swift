import Foundation
import LanguageEngine
import Messages
import ServiceRuntime
import Bytes

/// Settings of `userllm up` and `userllm demo` for the system they start.
///
/// **Configuration keys**
/// - `data` (text, `/var/lib/userllm` for root, else `~/.local/share/userllm`): the folder for database, logs, state
///   and, by default, the bundle.
/// - `log` (text, none): the message log; without one, the database.
/// - `database` (text, none): the database with the rows; without one, a private PostgreSQL in the data folder.
/// - `bundle` (text, `<data>/bundle`): the folder of the model bundle.
/// - `accept-new-model` (flag, false): start although the rows are of another model version.
/// - `partitions` (integer, 8): partition count of topics that do not exist yet.
/// - `encoder-workers`, `embedding-writers`, `llm-responders`, `gateways`, `event-ingestors` (integer, 1 each).
/// - `host` (text, `127.0.0.1`): where gateways and ingestors listen.
/// - `allowed-hosts` (text, none): further host names the services may be called by, passed on to all of them.
/// - `gateway-port` (integer, 8080), `ingestor-port` (integer, 8180): the first process's; each further one has the
///   next port. 0: free ports.
/// - `ready-within` (duration, 2 min): how long the services may take to become ready.
/// - `weights`, `cache-format` (text) and `cache-megabytes` (integer): those of `llm-responder`, passed on to all of them.
struct SystemConfiguration: Sendable {
    /// The data folder, by which other commands find a running system.
    static let dataKey = ConfigurationKey<String>(
        "data",
        default: defaultData,
        help: "The folder for database, logs, state and, unless named, the model bundle"
    )
    /// Under root the database runs as another user, who cannot enter a home folder.
    private static var defaultData: String {
        if OperatingSystemUser.isRoot { return "/var/lib/userllm" }
        let environment = ProcessInfo.processInfo.environment
        let home = environment["HOME"] ?? "."
        return (environment["XDG_DATA_HOME"] ?? "\(home)/.local/share") + "/userllm"
    }

    private static let logKey = ConfigurationKey<String>(
        "log",
        sensitivity: .address,
        help: "The message log: kafka://host:port,... or postgresql://...; without one, the database"
    )
    private static let databaseKey = ConfigurationKey<String>(
        "database",
        sensitivity: .address,
        help: "The PostgreSQL database with the rows; without one, a private server in the data folder"
    )
    private static let bundleKey = ConfigurationKey<String>(
        "bundle",
        help: "The folder of the model bundle; without one, `bundle` in the data folder"
    )
    private static let acceptNewModelKey = ConfigurationKey<Bool>(
        "accept-new-model",
        default: false,
        help: "Start although the rows are of another model version; a user's row follows with the next event"
    )
    private static let partitionsKey = ConfigurationKey<Int>(
        "partitions",
        default: 8,
        in: 1...1_000,
        help: "The number of partitions of topics that do not exist yet"
    )
    private static let hostKey = ConfigurationKey<String>(
        "host",
        default: "127.0.0.1",
        help: "The address that gateways and event ingestors listen on"
    )
    private static let gatewayPortKey = ConfigurationKey<Int>(
        "gateway-port",
        default: 8_080,
        in: 0...65_535,
        help: "The first gateway's port, the next has the next; 0 takes free ones"
    )
    private static let ingestorPortKey = ConfigurationKey<Int>(
        "ingestor-port",
        default: 8_180,
        in: 0...65_535,
        help: "The first event ingestor's port, the next has the next; 0 takes free ones"
    )
    private static let readyWithinKey = ConfigurationKey<Duration>(
        "ready-within",
        default: .seconds(120),
        in: .seconds(1) ... .seconds(3_600),
        help: "How long the services may take to be ready"
    )
    private static let weightsKey = ConfigurationKey<ConfigurationChoice<WeightFormat>>(
        "weights",
        help: "How llm-responder keeps the language model's weights; by default as the bundle has them"
    )
    private static let cacheFormatKey = ConfigurationKey<ConfigurationChoice<CacheFormat>>(
        "cache-format",
        help: "How llm-responder keeps keys and values"
    )
    private static let cacheMegabytesKey = ConfigurationKey<Int>(
        "cache-megabytes",
        in: 1...1_048_576,
        unit: "MB",
        help: "The memory of each llm-responder for keys and values"
    )
    /// How many processes of one kind there may be.
    static let countRange = 0...64

    private static func countKey(_ kind: ServiceKind) -> ConfigurationKey<Int> {
        ConfigurationKey(
            "\(kind.rawValue)s",
            default: 1,
            in: countRange,
            unit: "processes",
            help: "How many processes of \(kind.rawValue) to run"
        )
    }

    /// Every key.
    static let keys: [any AnyConfigurationKey] =
        [
            dataKey, logKey, databaseKey, bundleKey, acceptNewModelKey, partitionsKey, hostKey, gatewayPortKey,
            ingestorPortKey, readyWithinKey, HTTPConfiguration.allowedHosts, weightsKey, cacheFormatKey,
            cacheMegabytesKey,
        ] + ServiceKind.allCases.map { countKey($0) }

    let data: String
    let log: String?
    let database: String?
    var bundle: String
    let acceptsNewModel: Bool
    let partitions: Int
    let host: String
    let allowedHosts: String?
    let gatewayPort: Int
    let ingestorPort: Int
    let readyWithin: Duration
    let counts: [ServiceKind: Int]
    /// Flags of every responder.
    let responderArguments: [String]

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError) {
        data = try reader.value(of: Self.dataKey).absolutePath
        log = try reader.optionalValue(of: Self.logKey)
        database = try reader.optionalValue(of: Self.databaseKey)
        bundle = try reader.optionalValue(of: Self.bundleKey)?.absolutePath ?? "\(data)/bundle"
        acceptsNewModel = try reader.value(of: Self.acceptNewModelKey)
        partitions = try reader.value(of: Self.partitionsKey)
        host = try reader.value(of: Self.hostKey)
        allowedHosts = try reader.optionalValue(of: HTTPConfiguration.allowedHosts)
        gatewayPort = try reader.value(of: Self.gatewayPortKey)
        ingestorPort = try reader.value(of: Self.ingestorPortKey)
        readyWithin = try reader.value(of: Self.readyWithinKey)
        responderArguments = [
            ("weights", try reader.optionalValue(of: Self.weightsKey)?.choice.rawValue),
            ("cache-format", try reader.optionalValue(of: Self.cacheFormatKey)?.choice.rawValue),
            ("cache-megabytes", try reader.optionalValue(of: Self.cacheMegabytesKey).map { "\($0)" }),
        ].flatMap { name, value in value.map { ["--\(name)", $0] } ?? [] }
        var counts: [ServiceKind: Int] = [:]
        for kind in ServiceKind.allCases { counts[kind] = try reader.value(of: Self.countKey(kind)) }
        self.counts = counts
        for (key, address) in [("log", log), ("database", database)] {
            guard let address else { continue }
            let schemes =
                key == "log" ? ["kafka://", "postgresql://", "postgres://"] : ["postgresql://", "postgres://"]
            guard schemes.contains(where: address.hasPrefix) else {
                throw .conflict(
                    "\(key): \"\(Redaction.address(address))\" is no address: it begins with "
                        + schemes.prefix(2).joined(separator: " or ")
                )
            }
        }
    }
}

/// The services that the launcher runs, in the order they are started.
enum ServiceKind: String, Sendable, CaseIterable {
    /// Reads embeddings, writes rows.
    case embeddingWriter = "embedding-writer"
    /// Reads events, writes embeddings.
    case encoderWorker = "encoder-worker"
    /// Reads questions, writes answers.
    case llmResponder = "llm-responder"
    /// Takes events over HTTP.
    case eventIngestor = "event-ingestor"
    /// Takes questions over HTTP.
    case gateway

    /// The topic whose partitions its processes share; nil if any number of processes has work.
    var sharedTopic: Topic? {
        switch self {
        case .embeddingWriter: .userEmbeddings
        case .encoderWorker: .userEvents
        case .llmResponder: .questions
        case .eventIngestor, .gateway: nil
        }
    }
    /// Whether it needs the model bundle.
    var needsBundle: Bool { self == .encoderWorker || self == .llmResponder || self == .embeddingWriter }
    /// Whether it reads or writes rows.
    var needsDatabase: Bool { self == .embeddingWriter || self == .llmResponder }
}
