public import MessageLogs

/// A record that a reader could not use, and why.
public struct RejectedRecord: Sendable {
    /// Why a record is rejected; a small set, so that it can be a metric's label.
    public enum Kind: String, Sendable, CaseIterable {
        /// It is not a record of its topic.
        case decode
        /// The database refuses it.
        case database
    }

    /// The record.
    public let record: Record
    /// The kind of problem.
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

    /// The record for `<topic>-rejected`: the original bytes, and headers that say why it was rejected and where it
    /// came from.
    public func outgoing(service: String) -> OutgoingRecord {
        Rejection(
            of: record,
            reason: reason,
            service: service,
            time: WallClock.milliseconds,
            attempts: attempts
        ).outgoing(record)
    }
}
