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
    /// Whether only the beginning of its value was kept.
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
        /// Of a record that was sent again: how often it was tried before.
        static let replays = "replays"
    }

    /// Counts of tries; a header comes from outside, so one that says something else is taken for the nearest of these.
    public static let attemptCounts: ClosedRange<Int> = 1...1_000_000

    /// The most bytes of a rejected record: less than either log takes, for one that is too large must not stop its reader.
    static let maximumByteCount = 1_000_000

    /// Makes a rejection of a record.
    ///
    /// - Parameters:
    ///   - record: the record, as the log gave it.
    ///   - reason: what is wrong with it, without its contents.
    ///   - service: the service that rejects it.
    ///   - time: milliseconds since 1970.
    ///   - attempts: how often it was tried since it came or was sent again; earlier tries are added.
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

    /// The record for `<topic>-rejected`: key, value and headers as they came, and what is in this rejection.
    ///
    /// Of a record that would then be too large for the log the value is cut, and a header says how many bytes it had; a key
    /// or headers that alone are too large are left out.
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

    /// What headers take, with what a log may add to each.
    private static func byteCount(of headers: [Header]) -> Int {
        headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count + 8 }
    }

    /// A rejected record as it was, to be sent to the topic it came from once more.
    public func replayed(_ record: Record) -> OutgoingRecord {
        OutgoingRecord(
            topic: source.topic,
            key: record.key,
            value: record.value,
            // It comes from a new place: one that it was sent on from before would keep it out.
            headers: FirstPlace.without(Self.withoutOwn(record.headers)) + [Header(Name.replays, String(attempts))]
        )
    }

    private static func withoutOwn(_ headers: [Header]) -> [Header] {
        // In any case of letters, as headers are looked for.
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
    /// Where records of a topic go that cannot be read.
    public static func rejected(_ topic: String) -> String { topic + "-rejected" }
}
