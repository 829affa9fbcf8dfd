public import Bytes
public import JSON

/// An event that was validated when it was read, and so is written without being validated again.
public struct CheckedEvent: Sendable {
    /// The event.
    public let event: Event

    /// The user whose event it is.
    public var user: UserID { event.user }

    /// Reads an event that is part of other bytes, such as a line or an array's element.
    ///
    /// Fields are `user`, `item`, `time`, `rating`, `type`, `categories`, `text` and `event_id`; `user_id`, `userId`,
    /// `item_id`, `itemId`, `timestamp`, `ts`, `event_time`, `eventTime`, `event_type`, `eventType` and `eventId` mean
    /// the same as those.
    ///
    /// - Parameters:
    ///   - bytes: the buffer that contains the event.
    ///   - range: its range there, with any surrounding space.
    ///   - receivedAt: milliseconds since 1970, used when the event has no time of its own; with nil that is an error.
    ///   - unknown: collects the names of other fields.
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    public init(
        json bytes: [UInt8],
        _ range: Range<Int>,
        receivedAt: Int64?,
        unknown: inout UnknownFields
    ) throws(MessageError) {
        var scanner = JSONScanner(bytes, range)
        do throws(JSONError) {
            event = try Event(&scanner, receivedAt: receivedAt, unknown: &unknown)
            try scanner.finish()
        } catch {
            throw MessageError(error)
        }
        try event.validate()
    }

    /// The event as Protocol Buffers (`event.proto`).
    public func encoded() -> [UInt8] { event.packedUnchecked() }
}
