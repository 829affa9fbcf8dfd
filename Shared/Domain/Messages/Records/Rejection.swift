public import MessageLogs

/// Why and where a record was rejected: what the headers of `<topic>-rejected` say.
public struct Rejection: Sendable, Equatable {
    /// Where the record came from.
    public var source: TopicPartition
    /// Its offset there.
    public var offset: Int64
    /// What is wrong with it; at most 1,024 bytes.
    public var reason: String
    /// The service that rejected it.
    public var service: String
    /// When, in milliseconds since 1970.
    public var time: Int64
    /// How often it was tried, within `attemptCounts`.
    public private(set) var attempts: Int
    /// Whether its value was truncated.
    public private(set) var isCut = false

    private enum Name {
        static let prefix = "rejected-"
        static let reason = "rejected-reason"
        static let service = "rejected-service"
        static let topic = "rejected-topic"
        static let partition = "rejected-partition"
        static let offset = "rejected-offset"
        static let time = "rejected-time"
        static let attempts = "rejected-attempts"
        static let valueByteCount = "rejected-value-bytes"
        /// For a replayed record, how often it was tried before.
        static let replays = "replays"
    }

    /// Numbers of attempts; a header comes from outside, so any other number is clamped to this range.
    public static let attemptCounts: ClosedRange<Int> = 1...1_000_000

    /// The most bytes of a rejected record: below either log's limit, because an oversized record must not stop its
    /// reader.
    static let maximumByteCount = 1_000_000

    /// Makes a rejection of a record.
    ///
    /// - Parameters:
    ///   - record: the record, as read from the log.
    ///   - reason: what is wrong with it, without its contents.
    ///   - service: the service that rejects it.
    ///   - time: milliseconds since 1970.
    ///   - attempts: how often it was tried since it arrived or was replayed; earlier attempts are added.
    public init(of record: Record, reason: String, service: String, time: Int64, attempts: Int = 1) {
        source = record.source
        offset = record.offset
        self.reason = Self.shortened(reason)
        self.service = service
        self.time = time
        let earlier = record.header(Name.replays).flatMap { Int($0) }.map(Self.clamped) ?? 0
        self.attempts = Self.clamped(Self.clamped(attempts) + earlier)
    }

    /// Reads the headers of a record of a `-rejected` topic; nil when they are not there.
    public init?(headersOf record: Record) {
        guard let topic = record.header(Name.topic),
            let partition = record.header(Name.partition).flatMap({ Int32($0) }),
            let offset = record.header(Name.offset).flatMap({ Int64($0) }), partition >= 0, offset >= 0
        else { return nil }
        source = TopicPartition(topic, partition)
        self.offset = offset
        reason = record.header(Name.reason) ?? ""
        service = record.header(Name.service) ?? ""
        time = record.header(Name.time).flatMap { Int64($0) } ?? 0
        attempts = Self.clamped(record.header(Name.attempts).flatMap { Int($0) } ?? 1)
        isCut = record.header(Name.valueByteCount) != nil
    }

    /// The record for `<topic>-rejected`: the original key, value and headers, and the contents of this rejection.
    ///
    /// If the record would then exceed the log's limit, its value is truncated and a header holds the original size; a
    /// key or headers that are too large by themselves are omitted.
    public func outgoing(_ record: Record) -> OutgoingRecord {
        var own = [
            Header(Name.reason, reason),
            Header(Name.service, service),
            Header(Name.topic, source.topic),
            Header(Name.partition, String(source.partition)),
            Header(Name.offset, String(offset)),
            Header(Name.time, String(time)),
            Header(Name.attempts, String(attempts)),
        ]
        var room = Self.maximumByteCount - 64 - Self.byteCount(of: own)
        var headers = Self.withoutOwn(record.headers)
        if Self.byteCount(of: headers) > room { headers = [] }
        room -= Self.byteCount(of: headers)
        let key = record.key.flatMap { $0.count > room ? nil : $0 }
        room -= key?.count ?? 0
        var value = record.value
        if let whole = value, whole.count > room {
            value = Array(whole.prefix(room))
            own.append(Header(Name.valueByteCount, String(whole.count)))
        }
        return OutgoingRecord(topic: Topic.rejected(source.topic), key: key, value: value, headers: headers + own)
    }

    /// The size of headers, with the log's possible overhead for each.
    private static func byteCount(of headers: [Header]) -> Int {
        headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count + 8 }
    }

    /// A rejected record in its original form, to be sent to its topic again.
    public func replayed(_ record: Record) -> OutgoingRecord {
        OutgoingRecord(
            topic: source.topic,
            key: record.key,
            value: record.value,
            // It gets a new position; the one that it was rerouted from before would cause it to be skipped.
            headers: FirstPlace.without(Self.withoutOwn(record.headers)) + [Header(Name.replays, String(attempts))]
        )
    }

    private static func withoutOwn(_ headers: [Header]) -> [Header] {
        // Without regard to case, as headers are looked up.
        headers.filter { header in
            let name = header.name.lowercased()
            return !name.hasPrefix(Name.prefix) && name != Name.replays
        }
    }

    private static func clamped(_ attempts: Int) -> Int {
        min(max(attempts, attemptCounts.lowerBound), attemptCounts.upperBound)
    }

    private static func shortened(_ text: String) -> String {
        guard text.utf8.count > 1_024 else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: 1_021)
        while end.samePosition(in: text) == nil { end = text.utf8.index(before: end) }
        return text[..<end] + "…"
    }
}

extension Topic {
    /// The topic for records of a topic that cannot be read.
    public static func rejected(_ topic: String) -> String { topic + "-rejected" }
}
