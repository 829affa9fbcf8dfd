public import Streams

/// A record that a reader could not use, on its way to `<topic>-rejected`.
///
/// The bytes go on as they came; headers say why and whence.
public struct Rejection: Sendable {
    /// Why a record is rejected; a small set, so that it can be a metric's label.
    public enum Kind: String, Sendable, CaseIterable {
        /// It is not a record of its topic.
        case decode
        /// It can be read, but says something impossible.
        case validation
        /// The database refuses it.
        case database
    }

    /// The names of the headers that are added.
    public enum HeaderName {
        /// The kind of the rejection.
        public static let kind = "rejected-kind"
        /// What is wrong, in words.
        public static let reason = "rejected-reason"
        /// The service that could not use it.
        public static let service = "rejected-service"
        /// Where it came from.
        public static let topic = "rejected-topic"
        /// Where it came from.
        public static let partition = "rejected-partition"
        /// Where it came from.
        public static let offset = "rejected-offset"
        /// When it was rejected, in milliseconds since 1970.
        public static let time = "rejected-time"
        /// How often it was tried.
        public static let attempts = "rejected-attempts"
    }

    /// The record.
    public let record: Record
    /// The kind.
    public let kind: Kind
    /// What is wrong, in words.
    public let reason: String
    /// How often it was tried.
    public let attempts: Int

    /// Rejects a record.
    public init(_ record: Record, kind: Kind, reason: String, attempts: Int = 1) {
        self.record = record
        self.kind = kind
        self.reason = reason
        self.attempts = attempts
    }

    /// The record for the topic of rejected ones.
    ///
    /// - Parameters:
    ///   - service: the service that rejects it.
    ///   - now: the present, in milliseconds since 1970.
    /// - Returns: the record's bytes with the reason and the source in headers.
    public func outgoing(service: String, now: Int64 = WallClock.milliseconds) -> OutgoingRecord {
        OutgoingRecord(
            topic: record.source.topic + "-rejected",
            key: record.key,
            value: record.value,
            headers: record.headers + [
                Header(HeaderName.kind, kind.rawValue),
                // A reason may quote what came; a header is no place for a megabyte of it.
                Header(HeaderName.reason, String(reason.prefix(1_000))),
                Header(HeaderName.service, service),
                Header(HeaderName.topic, record.source.topic),
                Header(HeaderName.partition, "\(record.source.partition)"),
                Header(HeaderName.offset, "\(record.offset)"),
                Header(HeaderName.time, "\(now)"),
                Header(HeaderName.attempts, "\(attempts)"),
            ]
        )
    }
}
