public import Bytes
public import JSON

/// An event that was validated when it was read, and so is written without being validated again.
public struct CheckedEvent: Sendable {
    private let event: Event

    /// The user whose event it is.
    public var user: UserID { event.user }

    /// Reads an event that is part of other bytes, as `Event` does.
    ///
    /// - Throws: `MessageError` naming the field, the value and what is expected.
    public init(
        json bytes: [UInt8],
        _ range: Range<Int>,
        receivedAt: Int64?,
        unknown: inout UnknownFields
    ) throws(MessageError) {
        event = try Event(json: bytes, range, receivedAt: receivedAt, unknown: &unknown)
    }

    /// The event as Protocol Buffers (`event.proto`).
    public func encoded() -> [UInt8] { event.packedUnchecked() }
}
