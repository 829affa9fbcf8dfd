public import Messages

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
    /// How often it was tried.
    public var attempts: Int

    private enum Name {
        static let prefix = "rejected-"
        static let reason = "rejected-reason"
        static let service = "rejected-service"
        static let topic = "rejected-topic"
        static let partition = "rejected-partition"
        static let offset = "rejected-offset"
        static let time = "rejected-time"
        static let attempts = "rejected-attempts"
    }

    /// Makes a rejection of a record.
    ///
    /// - Parameters:
    ///   - record: the record, as the log gave it.
    ///   - reason: what is wrong with it, without its contents.
    ///   - service: the service that rejects it.
    ///   - time: milliseconds since 1970.
    ///   - attempts: how often it was tried.
    public init(of record: Record, reason: String, service: String, time: Int64, attempts: Int = 1) {
        source = record.source
        offset = record.offset
        self.reason = Self.shortened(reason)
        self.service = service
        self.time = time
        self.attempts = attempts
    }

    /// Reads the headers of a record of a `-rejected` topic; nil when they are not there.
    public init?(headersOf record: Record) {
        guard let topic = record.header(Name.topic),
            let partition = record.header(Name.partition).flatMap({ Int32($0) }),
            let offset = record.header(Name.offset).flatMap({ Int64($0) })
        else { return nil }
        source = TopicPartition(topic, partition)
        self.offset = offset
        reason = record.header(Name.reason) ?? ""
        service = record.header(Name.service) ?? ""
        time = record.header(Name.time).flatMap { Int64($0) } ?? 0
        attempts = record.header(Name.attempts).flatMap { Int($0) } ?? 1
    }

    /// The record for `<topic>-rejected`: key, value and headers as they came, and what is in this rejection.
    public func outgoing(_ record: Record) -> OutgoingRecord {
        let own = [
            Header(Name.reason, reason),
            Header(Name.service, service),
            Header(Name.topic, source.topic),
            Header(Name.partition, String(source.partition)),
            Header(Name.offset, String(offset)),
            Header(Name.time, String(time)),
            Header(Name.attempts, String(attempts)),
        ]
        return OutgoingRecord(
            topic: Topic.rejected(source.topic),
            key: record.key,
            value: record.value,
            headers: Self.withoutOwn(record.headers) + own
        )
    }

    /// A rejected record as it was, to be sent to the topic it came from once more.
    public func replayed(_ record: Record) -> OutgoingRecord {
        OutgoingRecord(
            topic: source.topic,
            key: record.key,
            value: record.value,
            headers: Self.withoutOwn(record.headers)
        )
    }

    private static func withoutOwn(_ headers: [Header]) -> [Header] {
        headers.filter { !$0.name.hasPrefix(Name.prefix) }
    }

    private static func shortened(_ text: String) -> String {
        guard text.utf8.count > 1_024 else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: 1_021)
        while end.samePosition(in: text) == nil { end = text.utf8.index(before: end) }
        return text[..<end] + "…"
    }
}

extension Topic {
    /// Where records of a topic go that cannot be read.
    public static func rejected(_ topic: String) -> String { topic + "-rejected" }
}
