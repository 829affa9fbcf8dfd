internal import Foundation
internal import Bytes
public import MessageLogs

/// How to reach a Kafka cluster, and the few settings of it that we choose.
///
/// **Configuration keys**, in the address after `?` or in `settings` (values in the address percent-encoded):
/// - `replication.factor` (integer, default -1: the broker's default): replicas of topics that are created.
/// - `partition.assignment.strategy` (`cooperative-sticky` or `range`, default `cooperative-sticky`): must be the same
///   for all members of a group.
/// - `delivery.timeout.ms` (integer, default 15000, milliseconds): how long an append may take.
/// - `connect.timeout.ms` (integer, default 10000, milliseconds): how long a broker may take to answer at start.
/// - `replay.stall.timeout.ms` (integer, default 120000, milliseconds): how long a replay waits for an open
///   transaction.
/// - `sasl.password.file`, `ssl.key.password.file` (path): files that hold the secret, so that no address shows it.
/// - `debug` (librdkafka's contexts, such as `cgrp,eos`; default none): librdkafka's own log on standard error.
/// - any other key goes to librdkafka as it is: `security.protocol`, `sasl.mechanisms`, `ssl.ca.location`, ...
public struct KafkaConfiguration: Sendable, Equatable, CustomStringConvertible {
    /// How a group's partitions are assigned to its members.
    public enum AssignmentStrategy: String, Sendable, CaseIterable {
        /// Partitions stay with their members as far as possible, and the others continue while some move.
        case cooperativeSticky = "cooperative-sticky"
        /// Neighbouring partitions; all stop while any moves.
        case range
    }

    /// Brokers to ask first, each as `host:port`.
    public var brokers: [String]
    /// The strategy by which groups share partitions.
    public var assignmentStrategy: AssignmentStrategy = .cooperativeSticky
    /// Replicas of topics that are created; -1 means the broker's default.
    public var replicationFactor: Int32 = -1
    /// How long a broker may take to answer at start, and to answer any query about the log.
    public var connectTimeout: Duration = .seconds(10)
    /// How long an append may take until it fails as unavailable.
    public var deliveryTimeout: Duration = .seconds(15)
    /// How long a replay waits without progress, usually for an open transaction.
    public var replayStallTimeout: Duration = .seconds(120)
    /// Further settings of librdkafka, such as TLS and SASL.
    public var additional: [String: String] = [:]

    /// The largest record a producer takes, in bytes: with its batch's frame just below a broker's default limit.
    static let defaultMaximumRecordSize = 1_048_000

    /// Keys that would break the log's guarantees.
    private static let reservedKeys: Set<String> = [
        "acks", "auto.offset.reset", "bootstrap.servers", "client.id", "delivery.report.only.error",
        "enable.auto.commit", "enable.auto.offset.store", "enable.idempotence", "enable.partition.eof", "group.id",
        "group.instance.id", "isolation.level", "log.queue", "max.in.flight", "max.in.flight.requests.per.connection",
        "message.timeout.ms", "metadata.broker.list", "partitioner", "request.required.acks", "session.timeout.ms",
        "transaction.timeout.ms", "transactional.id",
    ]

    /// Reads an address `kafka://host:port,host:port?key=value&key=value`, and further settings.
    ///
    /// - Throws: `.configuration`, naming the part that is wrong and what is expected.
    public init(address: String, settings: [String: String] = [:]) throws(StreamError) {
        let scheme = "kafka://"
        guard address.hasPrefix(scheme) else {
            throw .configuration("a Kafka address begins with \(scheme), as in kafka://127.0.0.1:9092")
        }
        let parts = address.dropFirst(scheme.count).split(
            separator: "?",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        brokers = try Self.brokers(in: parts.first.map(String.init) ?? "")
        for (key, value) in try Self.pairs(in: parts.count > 1 ? String(parts[1]) : "") {
            try set(key, to: value)
        }
        for (key, value) in settings.sorted(by: { $0.key < $1.key }) {
            try set(key, to: value)
        }
    }

    /// The address without secrets.
    public var description: String {
        let settings = additional.keys.sorted().map { key in
            "\(key)=\(Redaction.value(additional[key] ?? "", of: key))"
        }
        let address = "kafka://\(brokerList)"
        return settings.isEmpty ? address : address + "?" + settings.joined(separator: "&")
    }

    /// The brokers as librdkafka takes them.
    var brokerList: String { brokers.joined(separator: ",") }

    /// The largest record a producer takes, in bytes.
    var maximumRecordSize: Int {
        additional["message.max.bytes"].flatMap(Int.init).map { $0 - 576 } ?? Self.defaultMaximumRecordSize
    }

    /// A text of librdkafka's without the secrets among the settings.
    func redacted(_ text: String) -> String {
        Redaction.hiding(additional.filter { Redaction.isSecret($0.key) }.map(\.value), in: text)
    }

    private static func brokers(in text: String) throws(StreamError) -> [String] {
        guard !text.contains("@") else {
            throw .configuration(
                "a Kafka address takes no user or password before the host; "
                    + "use ?sasl.username=...&sasl.password.file=PATH"
            )
        }
        let text = text.hasSuffix("/") ? String(text.dropLast()) : text
        var brokers: [String] = []
        for broker in text.split(separator: ",", omittingEmptySubsequences: false) {
            let colon = broker.lastIndex(of: ":")
            let isBareIPv6 = broker.hasSuffix("]")
            guard let colon, !isBareIPv6 else {
                guard !broker.isEmpty else {
                    throw .configuration("a Kafka address needs a host, as in kafka://host:port,host:port")
                }
                brokers.append(broker + ":9092")
                continue
            }
            let port = broker[broker.index(after: colon)...]
            guard colon > broker.startIndex, let number = UInt16(port), number > 0 else {
                // Text in the port's position may be a password.
                let host = Redaction.address("kafka://\(broker)")
                throw .configuration("'\(host)' does not end with host:port and a port from 1 to 65535")
            }
            brokers.append(String(broker))
        }
        return brokers
    }

    private static func pairs(in query: String) throws(StreamError) -> [(String, String)] {
        var pairs: [(String, String)] = []
        for pair in query.split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else {
                // The text there may be the rest of a password, so it is not shown.
                throw .configuration(
                    "a setting in a Kafka address is key=value, and one has no key or no value; "
                        + "write & in a value as %26"
                )
            }
            guard let value = String(sides[1]).removingPercentEncoding else {
                throw .configuration(
                    "the value of '\(Redaction.word(String(sides[0])))' in the Kafka address is not percent-encoded UTF-8"
                )
            }
            let key = String(sides[0])
            // All settings of librdkafka that could reasonably be set here contain dots, except these.
            guard key.contains(".") || key == "debug" || key == "acks" else {
                throw .configuration("the Kafka address has a setting without a name; write & in a value as %26")
            }
            pairs.append((key, value))
        }
        return pairs
    }

    private mutating func set(_ key: String, to value: String) throws(StreamError) {
        switch key {
        case "replication.factor":
            replicationFactor = Int32(try Self.integer(value, for: key, in: -1...32_767))
        case "partition.assignment.strategy":
            guard let strategy = AssignmentStrategy(rawValue: value) else {
                throw .configuration("\(key) is cooperative-sticky or range, not '\(Redaction.value(value, of: key))'")
            }
            assignmentStrategy = strategy
        case "delivery.timeout.ms":
            deliveryTimeout = .milliseconds(try Self.integer(value, for: key, in: 1_000...900_000))
        case "connect.timeout.ms":
            connectTimeout = .milliseconds(try Self.integer(value, for: key, in: 100...900_000))
        case "replay.stall.timeout.ms":
            replayStallTimeout = .milliseconds(try Self.integer(value, for: key, in: 100...3_600_000))
        case "sasl.password.file", "ssl.key.password.file":
            guard let text = try? String(contentsOfFile: value, encoding: .utf8) else {
                throw .configuration("\(key): cannot read the file \(value)")
            }
            additional[String(key.dropLast(".file".count))] = text.trimmingCharacters(in: .newlines)
        case _ where Self.reservedKeys.contains(key):
            throw .configuration("the Kafka setting \(key) is set by the log itself and cannot be changed")
        default:
            additional[key] = value
        }
    }

    private static func integer(
        _ value: String,
        for key: String,
        in range: ClosedRange<Int>
    ) throws(StreamError) -> Int {
        guard let number = Int(value), range.contains(number) else {
            throw .configuration(
                "the Kafka setting \(key) is an integer from \(range.lowerBound) to \(range.upperBound), not '\(Redaction.value(value, of: key))'"
            )
        }
        return number
    }
}
